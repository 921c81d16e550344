// The words of a script line: numbers, escapes, payloads and options. See tests/scripts/README.md.

#ifndef BATPAK_TESTS_WORDS_HPP
#define BATPAK_TESTS_WORDS_HPP

#include <batpak.hpp>

#include <charconv>
#include <sstream>

/// The script is not in the script language.
struct malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class Number>
Number number(std::string_view word, int base = 10) {
  Number value{};
  const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (failure != std::errc() || end != word.data() + word.size())
    throw malformed("`" + std::string(word) + "` is not the number expected here");
  return value;
}

inline batpak::event_kind kind(std::string_view word) {
  const bool hex = word.substr(0, 2) == "0x";
  return number<std::uint16_t>(hex ? word.substr(2) : word, hex ? 16 : 10);
}

inline std::string bytes(std::string_view hex) {
  if (hex.size() % 2 != 0) throw malformed("`" + std::string(hex) + "` is not hex");
  std::string result;
  for (std::size_t at = 0; at < hex.size(); at += 2)
    result += static_cast<char>(number<std::uint8_t>(hex.substr(at, 2), 16));
  return result;
}

inline std::string unescape(std::string_view word) {
  std::string result;
  for (std::size_t at = 0; at < word.size(); ++at) {
    if (word[at] != '\\') {
      result += word[at];
      continue;
    }
    switch (++at < word.size() ? word[at] : ' ') {
      case 's': result += ' '; break;
      case 'n': result += '\n'; break;
      case '\\': result += '\\'; break;
      case '0': result += '\0'; break;
      case 'e': break;
      case 'x': result += bytes(word.substr(at + 1, 2)), at += 2; break;
      default: throw malformed("unknown escape in `" + std::string(word) + "`");
    }
  }
  return result;
}

/// The two sides of the first `mark`; the second is missing when there is no mark.
inline std::pair<std::string_view, std::optional<std::string_view>> split(std::string_view text,
                                                                           char mark) {
  const std::size_t at = text.find(mark);
  if (at == text.npos) return {text, std::nullopt};
  return {text.substr(0, at), text.substr(at + 1)};
}

inline std::string text(std::string_view word) {
  const auto [name, rest] = split(word, ':');
  if (name != "repeat" || !rest) return unescape(word);
  const auto [count, character] = split(*rest, ':');
  std::string result;
  for (auto left = number<std::size_t>(count); left > 0; --left) result += character.value_or("");
  return result;
}

inline std::string payload(std::string_view word) {
  const auto [form, rest] = split(word, ':');
  if (word == "-") return {};
  if (form == "hex" && rest) return bytes(*rest);
  if (form == "text" && rest) return unescape(*rest);
  if (form == "zeros" && rest) return std::string(number<std::size_t>(*rest), '\0');
  throw malformed("`" + std::string(word) + "` is no payload");
}

inline std::string escape(std::string_view plain) {
  if (plain.empty()) return "\\e";
  std::string result;
  for (char c : plain) {
    const char* const found = c == '\0' ? "\\0" : c == ' ' ? "\\s" : c == '\n' ? "\\n" : nullptr;
    result += found ? found : c == '\\' ? "\\\\" : std::string(1, c);
  }
  return result;
}

template <class... Parts>
std::string join(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

inline std::string hex(std::uint64_t value, int digits) {
  std::string result;
  for (int at = digits - 1; at >= 0; --at) result += "0123456789abcdef"[value >> 4 * at & 15];
  return result;
}

inline std::string hex(batpak::bytes_view bytes) {
  std::string result;
  for (std::uint8_t byte : bytes) result += hex(byte, 2);
  return result;
}

inline std::string show_payload(batpak::bytes_view payload) {
  if (payload.empty()) return "-";
  if (payload.size() <= 64) return "hex:" + hex(payload);
  std::uint32_t crc = ~0u;
  for (std::uint8_t byte : payload) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return join("bytes:", payload.size(), ':', hex(~crc, 8));
}

/// A command line: the words that stand alone, and the `key=value` options.
struct words {
  std::vector<std::string> positional;
  std::vector<std::pair<std::string, std::string>> options;

  const std::string& at(std::size_t index) const {
    if (index >= positional.size()) throw malformed(join("word ", index, " is missing"));
    return positional[index];
  }
  std::optional<std::string> option(std::string_view key) const {
    for (const auto& [name, value] : options)
      if (name == key) return value;
    return std::nullopt;
  }
  /// Hands the option to `use`, if it is there.
  template <class Use>
  void with(std::string_view key, Use use) const {
    if (const auto value = option(key)) use(*value);
  }
  template <class Number>
  void read_number(std::string_view key, Number& place) const {
    with(key, [&](const std::string& value) { place = number<Number>(value); });
  }
  /// The value that the option names, or the first one without the option.
  template <class Value>
  Value choice(std::string_view key, std::vector<std::pair<std::string_view, Value>> named) const {
    const auto word = option(key);
    for (const auto& [name, value] : named)
      if (!word || *word == name) return value;
    throw malformed(join("no ", key, " `", *word, "`"));
  }
  std::optional<batpak::durability> durability() const {
    using level = batpak::durability;
    if (!option("durability")) return std::nullopt;
    return choice<level>("durability", {{"durable", level::durable},
                                        {"written", level::written},
                                        {"buffered", level::buffered}});
  }
};

#endif

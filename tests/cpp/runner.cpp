// Runs the behaviour scripts of tests/scripts over batpak.hpp.
//
//   runner [--dir DIR --section K] FILE...
//
// The language is described in tests/scripts/README.md.

#include "commands.hpp"

#include <iostream>

#include <unistd.h>

/// A command with the lines that it must print.
struct step {
  lines command;
  std::size_t line;
  lines expected;
};

/// The steps of one section.
using steps = std::vector<step>;

std::vector<steps> load(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw malformed("cannot read the file");
  std::vector<steps> sections(1);
  std::string line;
  bool in_items = false;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    if (in_items) {
      in_items = line != "end";
      if (in_items) sections.back().back().command.push_back(line);
    } else if (line.substr(0, 3) == "== ") {
      // What is before the first heading is a section only if it holds a command.
      if (sections.size() > 1 || !sections.back().empty()) sections.emplace_back();
    } else if (line.substr(0, 2) == "= ") {
      if (sections.back().empty()) throw malformed(join("line ", number, " follows no command"));
      sections.back().back().expected.push_back(line.substr(2));
    } else {
      sections.back().push_back({{line}, number, {}});
      const std::string verb = line.substr(0, line.find(' '));
      in_items = verb == "batch" || verb == "stage";
    }
  }
  return sections;
}

/// Runs sections in a directory. Returns the report of the first difference, or nothing.
std::string run(const std::string& file, const std::vector<steps>& sections,
                const fs::path& directory) {
  machine machine(directory);
  for (const steps& section : sections) {
    for (const step& step : section) {
      std::string report = join("FAIL ", file, ':', step.line, '\n');
      for (const std::string& line : step.command) report += join("  ", line, '\n');
      try {
        const lines found = machine.run(step.command);
        if (found == step.expected) continue;
        report += "expected:\n";
        for (const std::string& line : step.expected) report += join("  = ", line, '\n');
        report += "found:\n";
        for (const std::string& line : found) report += join("  = ", line, '\n');
        return report;
      } catch (const std::exception& error) {
        return join(report, "malformed: ", error.what(), '\n');
      }
    }
    machine.close_all();
  }
  return {};
}

std::string run_file(const std::string& file, const std::optional<fs::path>& directory,
                     std::size_t section) {
  try {
    const auto sections = load(file);
    if (directory) return run(file, {sections.at(section)}, *directory);
    const fs::path scratch = fs::temp_directory_path() / join("batpak-cpp-", getpid());
    fs::remove_all(scratch);
    fs::create_directory(scratch);
    const std::string report = run(file, sections, scratch);
    fs::remove_all(scratch);
    return report;
  } catch (const std::exception& error) {
    return join("FAIL ", file, ": ", error.what(), '\n');
  }
}

int main(int count, char** arguments) {
  std::vector<std::string> files;
  std::optional<fs::path> directory;
  std::size_t section = 0;
  int at = 1;
  const auto next = [&] { return std::string(arguments[++at]); };
  for (; at < count; ++at) {
    const std::string_view argument = arguments[at];
    if (argument == "--dir" && at + 1 < count) directory = next();
    else if (argument == "--section" && at + 1 < count) section = number<std::size_t>(next());
    else files.emplace_back(argument);
  }
  std::size_t failed = 0;
  for (const std::string& file : files) {
    const std::string report = run_file(file, directory, section);
    std::cout << report;
    failed += !report.empty();
  }
  std::cout << files.size() - failed << " passed, " << failed << " failed" << std::endl;
  return failed > 0 || files.empty();
}

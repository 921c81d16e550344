"""Exceptions: one class per kind, their Python bases, their attributes, and pickling."""

import errno
import pickle
from pathlib import Path
from typing import Any

import pytest

import batpak
from batpak import BatpakError, Store, _batpak
from batpak._errors import CLASSES

PYTHON_BASES: dict[type[BatpakError], type[Exception]] = {
    batpak.InvalidArgumentError: ValueError,
    batpak.InvalidCoordinateError: ValueError,
    batpak.InvalidKindError: ValueError,
    batpak.TooLargeError: ValueError,
    batpak.NotFoundError: LookupError,
    batpak.IoError: OSError,
    batpak.DiskFullError: OSError,
    batpak.DecodeError: ValueError,
}


def test_the_table_is_that_of_the_core() -> None:
    ours = [(error.code, error.kind, error.retry) for error in CLASSES.values()]
    assert ours == _batpak.error_kinds()


@pytest.mark.parametrize("error", CLASSES.values(), ids=lambda error: error.kind)
def test_names_and_bases(error: type[BatpakError]) -> None:
    words = "".join(word.capitalize() for word in error.kind.split("_"))
    assert error.__name__ == f"{words}Error"
    assert getattr(batpak, error.__name__) is error
    assert issubclass(error, BatpakError)
    bases = {base for base in (ValueError, LookupError, OSError) if issubclass(error, base)}
    assert bases == {PYTHON_BASES[error]} if error in PYTHON_BASES else not bases


@pytest.mark.parametrize("error", CLASSES.values(), ids=lambda error: error.kind)
def test_attributes_text_and_pickling(error: type[BatpakError]) -> None:
    made = error("it broke", path="/s/1", segment=3, offset=192, os_code=5)
    for one in (made, pickle.loads(pickle.dumps(made))):
        assert type(one) is error
        assert (one.path, one.segment, one.offset, one.os_code) == ("/s/1", 3, 192, 5)
        assert str(one) == "it broke [/s/1] [segment 3, offset 192]"
        assert one.message == "it broke"
        if isinstance(one, OSError):
            assert (one.errno, one.filename) == (5, "/s/1")
    assert str(error("it broke")) == "it broke"


def test_an_error_of_the_system_has_its_number(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for path, number in ((file, errno.EEXIST), (file / "below", errno.ENOTDIR)):
        with pytest.raises(batpak.IoError) as caught:
            Store(path)
        assert caught.value.os_code == caught.value.errno == number
        assert caught.value.path == caught.value.filename
        assert caught.value.path is not None and caught.value.path.startswith(str(file))
    assert file.read_bytes() == b""


def test_a_missing_store(tmp_path: Path) -> None:
    with pytest.raises(LookupError) as caught:
        Store(tmp_path / "none", mode="existing")
    assert isinstance(caught.value, batpak.NotFoundError)
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer(store: Store) -> None:
    with pytest.raises(batpak.LockedError) as caught:
        Store(store.path)
    assert (caught.value.kind, caught.value.code, caught.value.retry) == ("LOCKED", 10, "LATER")


def test_damage_is_named(path: Path) -> None:
    with Store(path) as store:
        store.append("a", "s", b"payload to damage", kind=0x1000)
    segment = max(path.glob("*.fbat"))
    data = segment.read_bytes()
    place = data.index(b"payload to damage")
    segment.write_bytes(data[:place] + b"P" + data[place + 1 :])
    with Store(path) as store:
        with pytest.raises(batpak.CorruptError) as caught:
            store.at(0)
        (finding,) = store.verify().findings
    assert caught.value.path == str(segment)
    assert caught.value.segment is not None
    assert caught.value.offset is not None and caught.value.offset < place
    assert (finding.segment, finding.offset) == (caught.value.segment, caught.value.offset)


def test_open_options_are_checked(path: Path) -> None:
    wrong: list[dict[str, Any]] = [
        {"segment_bytes": 1},
        {"segment_bytes": -1},
        {"max_payload_bytes": 1 << 40},
        {"mode": "append"},
        {"durability": "maybe"},
        {"seed": -1},
    ]
    for options in wrong:
        with pytest.raises(batpak.InvalidArgumentError):
            Store(path, **options)
    assert not path.exists()

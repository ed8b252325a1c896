"""How much memory there is: of the machine, of the control group, of the process."""

import pytest

from particles.machine import memory

GIB = 1 << 30


def groups(folder, **files):
    """A tree of control groups: path with dots for slashes -> content."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return list(memory._control_groups(folder, folder / "own"))


def test_limits_of_control_groups(tmp_path):
    """What is left is limit minus use, caches not counted; the group above counts too; "max" is no limit."""
    two = {"own": "0::/a/b\n", "a__b__memory_dot_max": "max\n", "a__b__memory_dot_current": "7\n"}
    two |= {"a__memory_dot_max": f"{GIB}\n", "a__memory_dot_current": f"{GIB // 2}\n"}
    two |= {"a__memory_dot_stat": "anon 5\ninactive_file 100\n"}
    assert groups(tmp_path / "two", **two) == [GIB // 2 + 100]
    one = {"own": "5:cpu:/x\n4:memory:/c\n", "memory__c__memory_dot_limit_in_bytes": f"{3 * GIB}\n"}
    one |= {"memory__c__memory_dot_usage_in_bytes": f"{GIB}\n", "memory__c__memory_dot_stat": "total_inactive_file 9\n"}
    one |= {"memory__memory_dot_limit_in_bytes": f"{2**63 - 4096}\n", "memory__memory_dot_usage_in_bytes": "1\n"}
    assert groups(tmp_path / "one", **one) == [2 * GIB + 9]
    assert groups(tmp_path / "none", own="0::/\nnonsense\n") == []


def test_there_is_memory_here():
    assert 1 << 20 < memory.available() < 1 << 50


def test_the_smallest_limit_counts(monkeypatch):
    monkeypatch.setattr(memory, "_machine", lambda: iter([5 * GIB]))
    monkeypatch.setattr(memory, "_control_groups", lambda: iter([7 * GIB, 3 * GIB]))
    monkeypatch.setattr(memory, "_address_space", lambda: iter([]))
    assert memory.available() == 3 * GIB
    memory.refuse_beyond("simulate.tokens = 7", 3 * GIB)
    with pytest.raises(memory.TooLarge, match=r"^tokens: needs about 3\.5 GiB of memory, 3 GiB are available$"):
        memory.refuse_beyond("tokens", 3.5 * GIB)


@pytest.mark.parametrize(
    ("count", "text"),
    [(5000, "4.88 KiB"), (3 << 20, "3 MiB"), (1.5 * GIB, "1.5 GiB"), (2e13, "18.2 TiB"), (3e30, "2.7e+18 TiB")],
)
def test_sizes_for_people(count, text):
    assert memory.size(count) == text

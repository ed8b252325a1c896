"""HDF5 files whose numbers stand in other files are refused by every reader; the library itself follows them."""

import base64
import shutil
import warnings
import zlib

import numpy as np
import pytest
import xarray as xr

from particles.files import checksum, outside
from particles.files.closure import closure_from_file
from particles.files.layers import read_heads, read_layers, read_tokens
from spde.files.read import read_density
from tests.tokenlaw.calls import HOMOGENIZED, call

X = np.eye(3)
FILES = {  # made with h5py 3.16: tokens(token, component) out of raw.bin or target.nc beside them
    "external data": (
        "eNrtlc9rE0EUx9/stuk2riQ2kaQiZBUFi1gK7cWDmLjZuKFpVrJFUATZNAsutrvSrHoUvHnRszfvXnvy5P+g/4B/QW+CeKgzO/OS"
        "uBY9ePAH75PAZOa9N/Ped37khdvunCyeKeqGAciRol6X/TU1fu3j51ee2x5o5oF2PhvR9VxInqIGTNgL2VRsDpeYT5OHYXyoeoWz"
        "0spUf3En2XuUxGGcflVDhWXpoWFEFj9ewPUb8GveejdGWfoMGKsCaIwxjJ+0VWCnrAbIRC2oGVB7JvLldejFchnAVzW8VBGnl4Rz"
        "vm7zspizAIYw2r2W70OFO/N4ECW0u1tO3+96/fu+3eo5YN4V7vPSvd/acjLvpvLefhCNLf4NrDhM7XbHGkV7vPgoia3h49SKk3Rq"
        "ehLsR8FwN1y1kHWA0g9anFtsfvh9LT79F1pceXfxy0SLC3wZ7RgtjtXmOshL04SNE7BxpKM2C5f4TOK88k9FaWTkVnVVayzx2Rhq"
        "5f5cyXsigxKXrjqrW6/rb8OykrSm1hI7ircFW5FT3Zj+nu1Lnzevrx64TuuW3HFJWbXrc99XsB88XR1GMbCcn2e7m7IqLNpUFnNX"
        "5r8m8h84HWfg9G1H5n9bkzOMgjQYh+m0kMkGgyHseBpFfWymLsHkOVAkm5Vomo35h7LB/p3G8xUgiH+Bm7bXYzO3Gg8xPmOHuacF"
        "x/EPG3lfIi0JgiAIgiAIgiAI4m/lG23C4Xc="
    ),
    "external data, old format": (
        "eNrtlc1u00AQgGc3iWuCUYOQGhchYXHiVCHRC+LQRo6Do6QJinvjAE5rqVZaGzUuHDlXfZxeOPYdEHfegQcoG++M/2j4E1RU2s+O"
        "7Nmd7Pzu+tTt9u407zdhga5DHVpQ5BIxzbJM82/gx4zd7oQbX/ijVKrVKstWaXJgi3ktNcfqtEwjiWdBNGBS0h7IWRTh1l589DaO"
        "gih5xVFjXWqgCFr6//lzWnAAf5e9z8+2GDSl8+gWA5kzxuQAxZ4/zVT1rvUQpF8WtHVof6CYQU/nOefpAjquV2PiNcUo+WDAE7Sr"
        "CQUd7GHH84R8T/xauVvQ7e84I68/Hr327M7QEXOy5DN07AD1aPxrQ8oXmSXrl3Jyffkw/kk+Pi3Jx7n2Z/kwcLOwNBIdRp0dB9Cf"
        "7YI/uwfh3BK3b0VBYnd71n54JHo3jCNrepJYUZzkU+/849CfHgYbFvH02uwwrEde38fyyZfVd1m9t7Cht2HzNmxe1q6u94pYn6E5"
        "Jq4B9qVeybMLNE79QaeLW9Kjep41ynUG7JvfxXU6L4vdQAfprFHWO/bfb0zDKKtD67v+WBVjZqEvh31vF2AdddsYM+0jOuN4tu8A"
        "TD1/L8o8tfMxs5MIOxOn50ycke2gnTUu7ez7iT8Pkp/GTf5k7QNX16XKwka9sH8oHlaIY0F2aGd5upn+M7hBvLDHQ1boTlZJCn2K"
        "eWWcPsDExSooFAqFQqFQKBQKhUKh+E/5Bqy3rb4="
    ),
    "external link": (
        "eNrr9HBx4+WS4mLm4GCAgf9QIAEVMoCKc+7J+evv4RLExLOFSQkswsyMpgUdcDExMILk2SRAJCMLzArWkvzs1Lz3UB6bDESWEWZR"
        "cn5uQX5eal7Jb6gQmzpYBY8DE0wL2IBiYQaGksSi9NQSvbxkBn2IGAODIAM2UGy/aQbY+YwMjIwiDAxMjIyMMPfDaREGRkEFeQaI"
        "QxUYxDkYxOtB7gX6g5mLQwiogpEBGiw8UD2iQiDl6D7n0QaZygZUDJR09nEMDmYAOpZBAIhBfnDx9HX1C/b094sPdnb0cWXgiQIp"
        "Z4Uo93P0dQWrdoCqDsnILFYAokSFvNQSZxc3hZTMXKBPM/PzFJJKSxTy8ksQUmWJRZmJSTmpegowYMzAwIsWFmauUz2oERY8wyAs"
        "eF2NXzGMglEwCkbBKIAAAL0impA="
    ),
    "external group": (
        "eNrtlkFrE0EUx9/stnGNWxKblLRSyCJeVIgFey1N2Gzc0DSBbBFaBLttFl1sdiWZFnpSeuvF79BzPfoB/AZ+C29SL54stDM7M0m6"
        "FEF6UPT9SNi8ef83ee9NXnaP3XpjJnsvqxsGKC4k2/PCXpLr7/MrXsetdzXzk3Y/WdGnUiFpshoQ7s8kWxElh2kavwmiM2llFoWX"
        "SPv2btx/G0dBRH/KpcyCUGgqIokf3tKlWU7cZlXaMNWPB8EMAPUHrwJaiXbhCXw7dj8m6RMgpAigEUKUfnQtArlrlUEkakHJgNI7"
        "ni+rQ8/m8wAFWcMHGTE3y8Xpus3HfM8MGNxpt2qeBwUmZvHAS6g315221+y0X3p2reWAucXl00Lerq07iboq1Ruvw6HFXr4VBdSu"
        "N6xe2GfFh3Fk7exTK4rp2HXgD0J/Zy+oWIqnADlI0+t9+XHzXpz8E704PLUro148YF+jXdOLa3uzCmJoqrB8B5YvdNUbY5YpyLyc"
        "KPfX3XnBd82xdhQne9FqehuwINtUYm++GT8lNQHqygdk2xh/nrQTzSP4Dba+bp53bHdNVCDLA1N6zT2R6xLPtes0nK7Tth2R63NN"
        "5NrzqT8M6Djp0QGBwf3q18RrIRM1cNQ4K+K1QjjOxvxD2Sh7s3z0EBDk/+H76k39z+xOKxmg/NVhUk8bZ6m/M7WubvyKzzk8DQRB"
        "EARBEARBEAT5W7kE7nrfPw=="
    ),
    "virtual dataset": (
        "eNrtls9rE0EUx9/Mpuuabk1sI0lFzPrjIkIo2KvYuNmY0G0WskVQCnbbLLq03ZVm9SQIggcRLAgFz149CZ78B/wD9E/wLgh66aHO"
        "z2S7VkQ9CGU+ZFlm5r03733nR/ZZp9WeKp4uaoYBkn1Brcbbc6L/6qfvO16n1cfmO3ye9WhaziVPEQOi4zoLhQpyiok02QjjL6Kl"
        "n+GjSLSPrydb95M4jNM90aXPcgssPZj/8Jicvw6/5413fcDSR4BQBQAjhKT/6F0BdNKqA0/UgqoB1cc0X1KHViyXAS6IGl4Ij1PT"
        "1Dhft3mZxtTBoIO22/R9mCHGxB9oCa3uktPzu17vjm83XQfM29R8gpv3mksOs14Q1sv3oqFFfoEVh6ndaluDaIsUHyWxtfYgteIk"
        "HQ89DLajYG0zbFiSKwCln7R4f/bVx3/X4u2R0OLpt93XTItzn19ObWQfos1FMi0+RJtDtboG/BAtwPwkzO9rQqtJ4wRAQauJE4Z+"
        "rdQKjVgi0lSyurhdfxlmhWRV8tBAdMXkaZBvGlnOouXabKka8Ifsfl3d8ezOojFNIiJRHphi1Nzk+c7RfPtO2+k7Pdvh+d7EPN9B"
        "kAbDMB0nPlowMMoyL7K7aD0oUwdldLwFyeJMNM7G/E/ZyPat+pNLoFAcRW7Ynss2evngpnchdyrSYPtumDbideB/yaOLBzKXE+vD"
        "WDgiYUPfz/UPj7IXqfwKkZ8GhVz/HjqY52pJrZVCoVAoFAqFQqFQKBR/yw8vUuYb"
    ),
    "soft link": (
        "eNrtlVFL21AUx89NZhe7SDvbWSeCQfbiBBXm69CSpmuxttCIUBFmXAMGNRk2DsSHjT3pi9/B573uA+wDDPYt9qovPinovbn3JjXI"
        "YPiwoedHQ3vuOff0f87NSY5rlepQdiyrahpIrgUbo9yeE+tf8m/tVq3SVvTvymS0oj5JbUmTVYAwfyZKRWQ4DITBtuufCSszzr1E"
        "2IMfgt2Pge/64aVYyhR5hCIiiPNUFZ6RyNaJKpNFqXsKzDqQ1EQ56vw8jOQTIITmUwiJN8XfRSDPjQngQg0oaVD6zPTSOtRsPg9Q"
        "EDWciB0vhllwum59muXMUAHUaTbKtg0FGkz3AyuhUl+2mna91Xxvm+WGBfoaCx/g4c3yshVFL4rolS2vZ9CPY/huaFaqRtfbpRV6"
        "gW9s7oeGH4SJ65Oz5zmbO+6MIXkDkIM03e6vi/v34vRB9OLgmzkT9+IV/Rvljl7c2ZsFcYMtwvwzmL9WZW+0YRpBRsXdV/tzd9ZZ"
        "1hxtR7G/F426vQIvRZtK9GLJ2CnJCYgngV4bWvK7345iXsNfsPa7c9Uya0u8Ajk/uvDqO1zrHNPatqpW22qaFte6qnCtXSd0em6Y"
        "iI4PCDTml3cTq4X01cCQMy0Jlgpeokb/R2qk3Zn4OgUI8ng4X7iv/53ZakQDlL89TPLNfJZ6nMl1+eKX/MjhaSAIgiAIgiAIgiDI"
        "/8oNFqDaMw=="
    ),
}
TOLD = {
    "external data": "tokens has its data in another file",
    "external data, old format": "tokens has its data in another file",
    "external link": "tokens is a link to another file",
    "external group": "more is a link to another file",
    "virtual dataset": "tokens is put together from other files",
}


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A file of the given kind, and what it reaches for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.bin").write_bytes(X.astype("<f8").tobytes())
    xr.Dataset({"tokens": (("token", "component"), X)}).to_netcdf(tmp_path / "target.nc")

    def make(kind):
        path = tmp_path / "hostile.nc"
        path.write_bytes(zlib.decompress(base64.b64decode(FILES[kind])))
        return path

    return make


@pytest.mark.parametrize("kind", TOLD)
def test_files_that_reach_into_others_are_refused_by_every_reader(kind, hostile, capsys):
    path = hostile(kind)
    with xr.open_dataset(path, engine="netcdf4") if kind != "external link" else xr.Dataset({"tokens": 1}) as file:
        assert np.array_equal(file.tokens, X) or kind == "external link"  # what a plain reader makes of it
    for read in (read_tokens, read_layers, read_heads, read_density, closure_from_file):
        with pytest.raises(ValueError, match=rf"hostile\.nc: {TOLD[kind]}; a file must hold all its numbers itself"):
            read(path)
    for command, *more in (["info"], ["plot", "--out", "p.png"], ["report", "--out", "p.html"]):
        assert call(command, path, *more) == 2
        told = capsys.readouterr().err
        assert told == f"error: {path}: {TOLD[kind]}; a file must hold all its numbers itself\n"


def test_links_inside_a_file_are_followed(hostile):
    assert np.array_equal(read_tokens(hostile("soft link")).points, X)


def test_a_run_does_not_go_on_from_such_a_file(hostile, tmp_path, capsys):
    """Sealed as a run would be."""
    (tmp_path / "c.toml").write_text(HOMOGENIZED)
    shutil.copy(hostile("virtual dataset"), "o.nc")
    checksum.seal(tmp_path / "o.nc")
    assert call("solve", "c.toml", "--out", "o.nc", "-q", "--resume") == 2
    assert capsys.readouterr().err.startswith("error: --resume o.nc: tokens is put together from other files; ")


def test_other_formats_and_broken_files_are_left_to_their_readers(tmp_path):
    xr.Dataset({"tokens": (("token", "component"), X)}).to_netcdf(tmp_path / "c.nc", format="NETCDF3_CLASSIC")
    outside.refuse_outside(tmp_path / "c.nc")
    (tmp_path / "b.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    outside.refuse_outside(tmp_path / "b.nc")


def test_a_library_that_cannot_be_asked_is_told(monkeypatch, hostile):
    """Once; what is read is then as trustworthy as its origin."""
    monkeypatch.setattr(outside, "import_module", lambda name: outside)  # a module that is no library
    outside._library.cache_clear()
    with pytest.warns(RuntimeWarning, match="the HDF5 library cannot be asked whether input files lead into others"):
        outside.refuse_outside(hostile("external data"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outside.refuse_outside(hostile("external data"))
    outside._library.cache_clear()

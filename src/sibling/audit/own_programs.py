"""Items of our own whose answers are programs, queries or JSON documents, with what is needed to check them."""

from __future__ import annotations

PROGRAMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Write a function `add_up(numbers)` that returns the sum of a list.",
        "def add_up(numbers):\n    total = 0\n    for number in numbers:\n        total += number\n    return total",
        ("assert add_up([1, 2, 3]) == 6", "assert add_up([]) == 0", "assert add_up([-4, 4, 9]) == 9"),
    ),
    (
        "Write a function `count_vowels(text)` that counts the vowels a, e, i, o, u, in any case.",
        "def count_vowels(text):\n    count = 0\n    for letter in text.lower():\n        if letter in 'aeiou':\n"
        "            count += 1\n    return count",
        ("assert count_vowels('Audit') == 3", "assert count_vowels('') == 0", "assert count_vowels('rhythm') == 0"),
    ),
    (
        "Write a function `largest(numbers)` that returns the largest element of a non-empty list.",
        "def largest(numbers):\n    best = numbers[0]\n    for number in numbers:\n        if number > best:\n"
        "            best = number\n    return best",
        ("assert largest([3, 9, 2]) == 9", "assert largest([-5, -2, -8]) == -2", "assert largest([7]) == 7"),
    ),
    (
        "Write a function `is_palindrome(text)` that tells whether a text reads the same backwards.",
        "def is_palindrome(text):\n    return text == text[::-1]",
        ("assert is_palindrome('level') is True", "assert is_palindrome('ab') is False",
         "assert is_palindrome('') is True"),
    ),
    (
        "Write a function `factorial(n)` for n >= 0.",
        "def factorial(n):\n    result = 1\n    for k in range(2, n + 1):\n        result *= k\n    return result",
        ("assert factorial(0) == 1", "assert factorial(5) == 120", "assert factorial(10) == 3628800"),
    ),
    (
        "Write a function `gcd(a, b)` for positive integers.",
        "def gcd(a, b):\n    while b > 0:\n        a, b = b, a % b\n    return a",
        ("assert gcd(12, 18) == 6", "assert gcd(7, 5) == 1", "assert gcd(100, 10) == 10"),
    ),
    (
        "Write a function `unique(items)` that keeps the first of equal elements, in order.",
        "def unique(items):\n    seen = []\n    for item in items:\n        if item not in seen:\n"
        "            seen.append(item)\n    return seen",
        ("assert unique([1, 2, 1, 3, 2]) == [1, 2, 3]", "assert unique([]) == []", "assert unique([5, 5]) == [5]"),
    ),
    (
        "Write a function `clamp(value, low, high)` that keeps a value within two bounds.",
        "def clamp(value, low, high):\n    if value < low:\n        return low\n    if value > high:\n"
        "        return high\n    return value",
        ("assert clamp(5, 0, 10) == 5", "assert clamp(-1, 0, 10) == 0", "assert clamp(11, 0, 10) == 10"),
    ),
    (
        "Write a function `word_lengths(text)` that returns the lengths of the words of a text.",
        "def word_lengths(text):\n    words = text.split()\n    return [len(word) for word in words]",
        ("assert word_lengths('to be or') == [2, 2, 2]", "assert word_lengths('') == []",
         "assert word_lengths('a  bcd') == [1, 3]"),
    ),
    (
        "Write a function `fibonacci(n)` with fibonacci(0) = 0 and fibonacci(1) = 1.",
        "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a",
        ("assert fibonacci(0) == 0", "assert fibonacci(1) == 1", "assert fibonacci(10) == 55"),
    ),
    (
        "Write a function `evens(numbers)` that returns the even numbers of a list, in order.",
        "def evens(numbers):\n    return [number for number in numbers if number % 2 == 0]",
        ("assert evens([1, 2, 3, 4]) == [2, 4]", "assert evens([7]) == []", "assert evens([-2, 0]) == [-2, 0]"),
    ),
    (
        "Write a function `second_smallest(numbers)` for a list of at least two different numbers.",
        "def second_smallest(numbers):\n    ordered = sorted(set(numbers))\n    return ordered[1]",
        ("assert second_smallest([3, 1, 2]) == 2", "assert second_smallest([5, 5, 9]) == 9",
         "assert second_smallest([-1, -3]) == -1"),
    ),
)  # fmt: skip

_SHOP = """
CREATE TABLE items (id INTEGER, name TEXT, price INTEGER, shelf TEXT);
INSERT INTO items VALUES {items};
CREATE TABLE sales (item INTEGER, day INTEGER, pieces INTEGER);
INSERT INTO sales VALUES {sales};
"""
DATABASES: tuple[str, ...] = (
    _SHOP.format(
        items="(1,'pen',2,'a'),(2,'book',12,'b'),(3,'lamp',30,'b'),(4,'cup',5,'a'),(5,'chair',45,'c')",
        sales="(1,1,10),(2,1,3),(3,2,1),(1,2,4),(4,2,6),(2,3,2)",
    ),
    _SHOP.format(
        items="(1,'rope',9,'c'),(2,'saw',25,'a'),(3,'nail',1,'a'),(4,'glue',7,'b'),(5,'vice',60,'c'),(6,'file',14,'b')",
        sales="(2,1,2),(3,1,90),(3,2,5),(5,2,1),(3,3,40),(6,3,3),(1,4,8)",
    ),
)
QUERIES: tuple[tuple[str, str], ...] = (
    ("List the names of the items that cost more than 10.", "SELECT name FROM items WHERE price > 10"),
    ("How many items are there on each shelf?", "SELECT shelf, COUNT(*) FROM items GROUP BY shelf"),
    ("What is the highest price?", "SELECT MAX(price) FROM items"),
    ("List names and prices, the dearest first.", "SELECT name, price FROM items ORDER BY price DESC"),
    ("How many pieces were sold in all?", "SELECT SUM(pieces) FROM sales"),
    (
        "List the names of the items that were sold, each once.",
        "SELECT DISTINCT items.name FROM items JOIN sales ON items.id = sales.item",
    ),
    (
        "List the names of the items that were never sold.",
        "SELECT name FROM items WHERE id NOT IN (SELECT item FROM sales)",
    ),
    (
        "How many pieces of each item were sold? Give name and number.",
        "SELECT items.name, SUM(sales.pieces) FROM items JOIN sales ON items.id = sales.item GROUP BY items.name",
    ),
    ("List the names of the items on shelf a.", "SELECT name FROM items WHERE shelf = 'a'"),
    ("What is the mean price?", "SELECT AVG(price) FROM items"),
    ("List the days on which something was sold, each once, in order.", "SELECT DISTINCT day FROM sales ORDER BY day"),
    ("Which shelves hold more than one item?", "SELECT shelf FROM items GROUP BY shelf HAVING COUNT(*) > 1"),
)


DOCUMENTS: tuple[tuple[str, str], ...] = (
    ("name and age of Ada, who is 36", '{"name": "Ada", "age": 36}'),
    ("city and country: Oslo, Norway", '{"city": "Oslo", "country": "Norway"}'),
    ("title and pages of a book: Tides, 212", '{"title": "Tides", "pages": 212}'),
    ("product and price: lamp, 29.5", '{"product": "lamp", "price": 29.5}'),
    ("task and whether it is done: sweep, yes", '{"task": "sweep", "done": true}'),
    ("width and height: 40 by 25", '{"width": 40, "height": 25}'),
    ("from and to of a journey: Rome to Bari", '{"from": "Rome", "to": "Bari"}'),
    ("team and points: Reds, 17", '{"team": "Reds", "points": 17}'),
    ("animal and legs: spider, 8", '{"animal": "spider", "legs": 8}'),
    ("element and symbol: gold, Au", '{"element": "gold", "symbol": "Au"}'),
    ("user and roles: mira, reader and editor", '{"user": "mira", "roles": ["reader", "editor"]}'),
    ("red, green and blue of a colour: 10, 20, 30", '{"red": 10, "green": 20, "blue": 30}'),
    ("sensor and value: outdoor, -3.5", '{"sensor": "outdoor", "value": -3.5}'),
    ("file and bytes: notes, 4096", '{"file": "notes", "bytes": 4096}'),
    ("author and year: Borel, 1909", '{"author": "Borel", "year": 1909}'),
    ("street and number: Elm Row, 7", '{"street": "Elm Row", "number": 7}'),
    ("song and seconds: Harbour, 214", '{"song": "Harbour", "seconds": 214}'),
    ("language and speakers in millions: Dutch, 25", '{"language": "Dutch", "speakers": 25}'),
    ("switch and whether it is on: hall, no", '{"switch": "hall", "on": false}'),
    ("place and latitude: Quito, -0.18", '{"place": "Quito", "latitude": -0.18}'),
    ("note and its tags: shopping, tagged home and urgent", '{"note": "shopping", "tags": ["home", "urgent"]}'),
    ("host and ports: relay, 80 and 443", '{"host": "relay", "ports": [80, 443]}'),
)

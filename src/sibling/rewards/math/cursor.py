"""A place in the tokens of an answer, and what may be asked about what follows it."""

from __future__ import annotations

from sibling.rewards.math.tokens import Token
from sibling.rewards.math.tree import UnreadableError


class Cursor:
    """Tokens and a place among them, which moves forward."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = list(tokens), 0

    def peek(self, ahead: int = 0) -> str:
        """The text of a token; "" at the end."""
        place = self.at + ahead
        return self.tokens[place].text if place < len(self.tokens) else ""

    def kind(self, ahead: int = 0) -> str:
        """The kind of a token; "" at the end."""
        place = self.at + ahead
        return self.tokens[place].kind if place < len(self.tokens) else ""

    def spaced(self) -> bool:
        """Whether white space stands before the next token."""
        return self.at < len(self.tokens) and self.tokens[self.at].space

    def accept(self, *texts: str) -> bool:
        """Go past the next token if it is one of `texts`."""
        if self.peek() in texts and self.at < len(self.tokens):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Go past `text`, which has to be next."""
        if not self.accept(text):
            raise UnreadableError(f"{text} is missing before {self.peek()[:20] or 'the end'}")

    def script(self) -> str:
        """The text of a subscript: of a group in braces, or of the next token."""
        if not self.accept("{"):
            self.at += 1
            return self.tokens[self.at - 1].text if self.at <= len(self.tokens) else ""
        parts = []
        while self.at < len(self.tokens) and not self.accept("}"):
            parts.append(self.peek())
            self.at += 1
        return "".join(parts)

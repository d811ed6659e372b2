"""What a reader raises where one annotation breaks its format."""


class UnreadableShape(ValueError):
    """One annotation breaks the format; ``rule`` names how."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule

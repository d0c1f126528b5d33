"""Which persons of the embedded world appear where: ranges that never overlap, so nobody is in two databases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from brownid.errors import BrownidError

PHOTOS_PER_PERSON = 1 << 20


@dataclass(frozen=True)
class PeopleRange:
    """The persons number `first` to `first + count - 1` of a world."""

    first: int
    count: int

    def __post_init__(self):
        if self.first < 0 or self.count < 1:
            raise BrownidError(
                f"People {self.first} and {self.count} more are no range of persons: `first_person` is at least 0 "
                "and the number of people at least 1."
            )

    @property
    def items(self) -> range:
        """The persons' item numbers."""
        return range(self.first, self.first + self.count)


def check_disjoint(ranges: Mapping[str, PeopleRange]) -> None:
    """Raise BrownidError naming two databases that share a person, and the person."""
    ordered = sorted(ranges.items(), key=lambda entry: entry[1].first)
    for (name, people), (next_name, next_people) in pairwise(ordered):
        if next_people.first < people.first + people.count:
            raise BrownidError(
                f"{name} (persons {people.first} to {people.items[-1]}) and {next_name} (from {next_people.first}) "
                f"share person {next_people.first}; give {next_name} a `first_person` of at least "
                f"{people.first + people.count}."
            )


def photo_items(people: Sequence[int], photos: Sequence[int]) -> list[int]:
    """The item number of photo `photos[i]` of person `people[i]`: no two photos of a world share one."""
    for photo in photos:
        if not 0 <= photo < PHOTOS_PER_PERSON:
            raise BrownidError(f"Photo {photo} of a person: at most {PHOTOS_PER_PERSON} photos a person are possible.")
    return [person * PHOTOS_PER_PERSON + photo for person, photo in zip(people, photos, strict=True)]

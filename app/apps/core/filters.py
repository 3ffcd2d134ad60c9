"""Parameters by which lists are filtered. What cannot be read is refused, with 400."""

from datetime import date, datetime, time, timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import QuerySet
from django.utils.timezone import make_aware
from django_filters import DateFilter, TypedChoiceFilter
from typing_extensions import override

# Beyond these, no time zone can tell when a day begins.
YEARS = (MinValueValidator(date(1900, 1, 1)), MaxValueValidator(date(2199, 12, 31)))


class DayFilter(DateFilter):
    """?day_from=2026-01-31, for a field that is a date."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, validators=YEARS, **kwargs)


class FromDay(DayFilter):
    """?created_from=2026-01-31: a time on that day or later, in the current time zone."""

    @override
    def filter(self, queryset: QuerySet, day: date | None) -> QuerySet:
        if day is None:
            return queryset
        return queryset.filter(
            **{f"{self.field_name}__gte": make_aware(datetime.combine(day, time.min))}
        )


class ToDay(DayFilter):
    """?created_to=2026-01-31: a time on that day or earlier, in the current time zone."""

    @override
    def filter(self, queryset: QuerySet, day: date | None) -> QuerySet:
        if day is None:
            return queryset
        end = make_aware(datetime.combine(day + timedelta(days=1), time.min))
        return queryset.filter(**{f"{self.field_name}__lt": end})


class TrueFalseFilter(TypedChoiceFilter):
    """?low_stock=true. Unlike BooleanFilter, it does not take a typing error for nothing asked."""

    def __init__(self, *args, **kwargs) -> None:
        choices = [("true", "true"), ("false", "false")]
        super().__init__(*args, choices=choices, coerce=lambda text: text == "true", **kwargs)

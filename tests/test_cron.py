import re

import pytest

from lakegate.catalog import parse_model
from lakegate.cron import check_cron
from lakegate.errors import BadDeclaration

MODEL = '[data]\ntrain = ["blood-cells"]\n[schedule]\nretrain = "{}"\n'


@pytest.mark.parametrize(
    "line",
    ["* * * * *", "*/15 0-6 1,15 * *", "0 3 * * mon", "0 3 * jan-mar/2 sun", "30 2 29 2 *", "0 0 31 2 fri", "5/10 * * * 7"],
)
def test_a_cron_line_is_taken_and_prefect_takes_it_too(line):
    from prefect.client.schemas.schedules import CronSchedule

    assert check_cron(f"  {line.replace(' ', '  ')} ") == line
    assert CronSchedule(cron=line).cron == line


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 3 * *", "has 4 fields, a cron line has five"),
        ("@daily", "has 1 fields"),
        ("0 3 * * monday", "'monday' is no day of the week (0 to 7, sun to sat"),
        ("60 3 * * *", "'60' is no minute (0 to 59"),
        ("0 6-3 * * *", "'6-3' is no hour"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("*-5 * * * *", "'*-5' is no minute"),
        ("0 0 30 2 *", "never comes: no such month has a day 30"),
        ("0 0 , * *", "'' is no day of the month"),
    ],
)
def test_what_is_no_cron_line_is_refused_with_what_is_right(line, reason):
    with pytest.raises(BadDeclaration, match=re.escape(reason)) as refused:
        check_cron(line)
    assert "'0 3 * * mon' is every Monday at 03:00 UTC" in str(refused.value)


def test_the_declaration_names_the_model_and_the_key():
    with pytest.raises(BadDeclaration, match=r"models/counter/model.toml: 'schedule.retrain': '0 3 \* \*' has 4 fields"):
        parse_model("counter", MODEL.format("0 3 * *"), "models/counter/model.toml")


def test_a_model_follows_new_versions_unless_it_says_otherwise():
    declared = parse_model("counter", MODEL.format(" "))
    assert (declared.schedule.retrain, declared.schedule.on_new_version) == ("", True)

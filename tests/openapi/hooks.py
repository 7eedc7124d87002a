"""What the fuzz has to know that a schema cannot say. It must not know anything that one can.

Formats: texts that have a grammar or a table of their own. Hooks: members that depend on each other or on what the
server has. Whatever is generated is sent to this machine only, and is rarely due, so that nothing floods.
"""

import itertools
import json
import re
from datetime import datetime, timedelta, timezone

import schemathesis
from hypothesis import strategies as st

# --- Texts with a grammar or a table of their own ---

SCHEDULES = st.one_of(
    st.sampled_from(["@yearly", "@annually", "@monthly", "@every 720h", "@every 180d", "0 0 1 1 *", "0 0 29 2 *"]),
    st.builds(
        "{} {} {} {} {} ?".format,
        st.integers(0, 59),
        st.integers(0, 59),
        st.integers(0, 23),
        st.one_of(st.integers(1, 28), st.sampled_from(["L", "LW", "15W", "L-3", "1,15"])),
        st.one_of(st.integers(1, 12), st.sampled_from(["JAN", "JUN,DEC", "1-12/6"])),
    ),
    st.builds("0 {} 4 ? {} SUN#{}".format, st.integers(0, 59), st.integers(1, 12), st.integers(1, 4)),
)
# A port that nobody listens on, and a name of this machine.
HERE = ("http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/")
URLS = st.builds(
    "{}://{}:9/{}".format,
    st.sampled_from(["http", "HTTP"]),
    st.sampled_from(["127.0.0.1", "[::1]", "localhost"]),
    st.text("abcxyz019-._~/?&=%", max_size=20).map(lambda text: text.replace("%", "%20")),
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "asia/kolkata", "Australia/Lord_Howe", "US/Eastern", "Etc/GMT+12"]
)


def written(second, offset_min):
    at = datetime.fromtimestamp(second, timezone(timedelta(minutes=offset_min)))
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    return text + ("Z" if offset_min == 0 else at.strftime("%z")[:3] + ":" + at.strftime("%z")[3:])


# Some of them lie ahead: what is asked to happen then, does not happen during the fuzz.
SECONDS = st.builds(written, st.integers(86_400, 4_102_358_000), st.sampled_from([0, 0, 60, -210, 840]))
AHEAD = st.builds(written, st.integers(2_200_000_000, 4_102_358_000), st.sampled_from([0, 120]))
DAYS = st.dates(datetime(1970, 1, 1).date(), datetime(2099, 12, 31).date()).map(str)
# Ranges ascend.
STATUSES = st.one_of(
    st.sampled_from(["2xx", "5XX", "410", "100-599", "500-503"]),
    st.tuples(st.integers(100, 599), st.integers(100, 599)).map(lambda pair: "{}-{}".format(*sorted(pair))),
)

for name, strategy in {
    "schedule": SCHEDULES,
    "uri": URLS,
    "time-zone": ZONES,
    "date-time": SECONDS,
    "date": DAYS,
    "statuses": STATUSES,
    # There is one: whoever starts the fuzz makes it, with a job that follows it, so that it cannot be deleted.
    "calendar": st.just("kept"),
    # The same of a channel.
    "channel": st.sampled_from([f"kept-{number}" for number in range(32)]),
    # None too short to be told again after it, none longer than a year.
    "period": st.one_of(
        st.sampled_from(["1m", "26h", "1d2h", "1h30m", "366d", "7D", "never"]),
        st.builds("{}d{}h{}m{}s".format, st.integers(1, 300), st.integers(0, 90), st.integers(0, 90), st.integers(0, 90)),
    ),
    "incidents-cursor": st.integers(1, 1 << 50).map(str),
    "execution-id": st.builds(
        "{}-{}{}".format,
        st.uuids(),
        st.integers(0, 4_102_444_799),
        st.one_of(st.just(""), st.builds("-{}{}".format, st.sampled_from("smrb"), st.integers(1, 4_294_967_295))),
    ),
    "executions-cursor": st.builds(
        "{}.{}.{}.{}".format, st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 3), st.integers(0, 1 << 20)
    ),
    "entity-tags": st.sampled_from(["*", '"1"', '"1", W/"2"', '"1","2"']),
    "event-id": st.builds("{}-{}".format, st.integers(0, 1 << 40), st.integers(0, 1 << 40)),
    "idempotency-key": st.one_of(st.uuids().map(str), st.uuids().map('"{}"'.format)),
    "alerts-cursor": st.integers(0, 1 << 60).map(str),
    "audit-cursor": st.builds("{}.{}".format, st.integers(0, 1 << 50), st.integers(0, 1 << 60)),
    "jobs-cursor": st.integers(0, 1 << 40).map(str),
}.items():
    schemathesis.openapi.format(name, strategy)


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """A body of one line."""
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


# --- Members and parameters that depend on each other, or on what the server has ---


def kept_here(body):
    """The same with URLs of this machine, also of jobs within it."""
    for member in ("api", "url"):
        if not isinstance(body.get(member), str):
            continue
        url = body[member]
        if re.search(r"^(https?|smtps?)://[^#@\s]+$", url, re.IGNORECASE) and not url.lower().startswith(HERE):
            url = HERE[0] + "0" * (len(url) - len(HERE[0]))
        body = {**body, member: url}
    within = {
        name: kept_here(body[name]) for name in ("apply", "create", "update", "job") if isinstance(body.get(name), dict)
    }
    return {**body, **within}


@schemathesis.hook
def map_case(context, case):
    """Nothing is sent to other machines, which examples name, and which a pattern alone lets through."""
    if isinstance(case.body, dict):
        case.body = kept_here(case.body)
    # A silence ends within a year.
    is_valid = case.meta is not None and not case.meta.generation.mode.is_negative
    if case.operation.label == "POST /api/silences" and isinstance(case.body, dict) and is_valid:
        case.body = {**case.body, "endsAt": SOON}
    # Jobs that wait for days until they try again would be waited for, each for a minute.
    phase = None if case.meta is None else case.meta.phase.name.name
    if isinstance(case.body, dict) and case.body.get("wait") is True and phase != "COVERAGE":
        case.body = {**case.body, "wait": False}
    return case


@schemathesis.hook
def before_add_examples(context, examples):
    examples[:] = [map_case(context, case) for case in examples]


CLIENTS = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Each request comes from an address of its own: one that shows many wrong tokens is answered 429. What is sent to
    see whether a wrong token is refused does not come this way, and is not as much."""
    number = next(CLIENTS)

    def as_proxy(request):
        address = "198.{}.{}.{}".format(18 + number // 65_536 % 2, number // 256 % 256, number % 256)
        request.headers["X-Forwarded-For"] = address
        return request

    # What is called last before a request is sent.
    kwargs["auth"] = as_proxy


NOW = datetime.now(timezone.utc)
SOON = (NOW + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
LATER = NOW + timedelta(days=700)
LAST = datetime(2099, 12, 31, tzinfo=timezone.utc)


@schemathesis.hook
def filter_case(context, case):
    # The calendar that cases name stays, whatever becomes of the job that follows it.
    kept = ("DELETE /api/calendars/{name}", "DELETE /api/channels/{name}", "PUT /api/channels/{name}")
    if case.operation.label in kept and str((case.path_parameters or {}).get("name")).startswith("kept"):
        return False
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return True
    label, query, body = case.operation.label, case.query or {}, case.body
    if label in ("GET /api/series", "GET /api/jobs/{id}/series"):
        # A series begins before it ends, and without `to` that is now.
        begin, end = instant(query.get("from")), instant(query.get("to"), NOW)
        return begin is None or begin < end
    if label == "GET /api/jobs":
        # What is due next is not known to the disk, which is searched for these; and its cursor has two parts.
        return query.get("sort") != "next" or not {"tag", "q", "cursor"} & set(query)
    return not isinstance(body, dict) or fits(label, body)


def fits(label, body):
    """Whether times are in order, and lie where they must."""
    begin, end = instant(body.get("startsAt")), instant(body.get("endsAt"))
    if begin and end and end < begin:
        return False
    if label == "POST /api/jobs/{id}/backfill":
        # Of times that have passed, and not of too many.
        begin, end = instant(body.get("from")), instant(body.get("to"))
        return not (begin and end) or (begin <= end < NOW and end - begin < timedelta(days=30))
    if label == "POST /api/executions/replay":
        begin, end = instant(body.get("from")), instant(body.get("to"))
        return not (begin and end) or begin <= end
    if label == "POST /api/tokens":
        return instant(body.get("expiresAt"), LATER) >= LATER
    if label == "POST /api/jobs/{id}/pause":
        return instant(body.get("until"), LATER) >= LATER
    if label in ("POST /api/jobs", "PUT /api/jobs/{id}", "POST /api/try"):
        # A secret can be kept only where there is one, and headers differ in more than case.
        if keeps_secret(body) or not headers_differ(body):
            return False
        # Something must lie ahead: the one time there is, or one of a schedule that may come in leap years only.
        if body.get("runAt") or body.get("runAfterMs"):
            bounds = ("startsAt", "endsAt", "excludeDates", "excludeCalendars")
            return not any(body.get(bound) for bound in bounds) and instant(body.get("runAt"), LATER) >= LATER
        return (end or LAST) - max(begin or NOW, NOW) > timedelta(days=9 * 366)
    return True


def keeps_secret(body):
    auth = body.get("auth") or {}
    secrets = [auth.get("bearer"), (auth.get("basic") or {}).get("password"), body.get("signingSecret")]
    return any(isinstance(secret, dict) for secret in secrets + list((body.get("secretHeaders") or {}).values()))


def headers_differ(body):
    names = [name.lower() for member in ("headers", "secretHeaders") for name in body.get(member) or {}]
    return len(names) == len(set(names)) and not (body.get("auth") and "authorization" in names)


def instant(text, default=None):
    """The time that a text says, if it says one."""
    try:
        return datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        return default

"""Steps of the scenario in README.md, and how they are told. Each client's program fills in how it does them."""

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS = 200


def step(what, action):
    try:
        action()
        print(f"ok {what}", flush=True)
    except BaseException as error:  # whatever a client raises is a failed step
        print(f"not ok {what}: {error!r}".replace("\n", " "), flush=True)


def same(expected, found):
    if expected != found:
        raise AssertionError(f"expected {expected}, found {found}")


def play(client):
    step("create topic", client.create_topic)
    for codec in CODECS:
        step(f"produce {codec}", lambda: client.produce(codec))
    step("consume and commit", lambda: consume_all(client))
    step("go on from the commit", lambda: go_on(client))
    step("offsets by time", lambda: offsets(client))
    step("delete topic", client.delete_topic)


def consume_all(client):
    found = client.consume(RECORDS * len(CODECS))
    for value, header in found:
        same(value.split("-")[0], header)
    same(RECORDS * len(CODECS), len({value for value, _ in found}))


def go_on(client):
    client.produce("none")
    found = client.consume(RECORDS)
    same(RECORDS, len(found))
    same({"none"}, {value.split("-")[0] for value, _ in found})


def offsets(client):
    starts, ends = client.offsets_by_time()
    same([0, 0, 0], starts)
    same(RECORDS * (len(CODECS) + 1), sum(ends))

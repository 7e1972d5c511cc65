"""What a library says of itself, as plain data, and as text for people. Pure: the CLI needs it without a catalog."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class JobCount:
    processor: str
    waiting: int
    running: int
    done: int
    failed: int
    delayed: int = 0
    """Waiting for a later try: their store is offline, most likely."""

    def delayed_if(self, resting: bool) -> JobCount:  # one switch, named by the method
        """The same, where what waits has to wait for more than its turn."""
        return replace(self, waiting=0, delayed=self.delayed + self.waiting) if resting else self


@dataclass(frozen=True, slots=True)
class FailedJob:
    processor: str
    name: str
    error: str


@dataclass(frozen=True, slots=True)
class StoreStatus:
    name: str
    kind: str
    root: str
    online: bool
    copies: int
    missing: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Status:
    library: str
    assets: dict[str, int]
    """Number by state."""
    stores: list[StoreStatus]
    jobs: list[JobCount]
    failures: list[FailedJob]
    processors: dict[str, str]
    model: str
    """What ranks similar-to/ and why."""
    receiving: int
    """Files that were not yet published."""
    mountpoint: str | None = None
    native: str = ""
    """What the kernel does by itself in this mount, or why not."""
    unsettled: int = 0
    """Files that are open for writing or being sealed."""
    scanning: list[str] = field(default_factory=list)
    held_back: dict[str, str] = field(default_factory=dict)
    """Names of files that were received whole and are not published, with the reason."""

    sidecars: dict[str, str] = field(default_factory=dict)
    """Names of files whose sidecar does not say what is said of them, and of sidecars that cannot be read: why."""

    @property
    def to_do(self) -> int:
        """Steps that are still to be done."""
        return sum(count.waiting + count.running for count in self.jobs)

    @property
    def failed(self) -> int:
        return sum(count.failed for count in self.jobs)


def as_text(status: Status) -> str:
    """For people: a few aligned lines."""
    lines = [f"library   {status.library}", f"assets    {_listed(status.assets)}", f"model     {status.model}"]
    if status.mountpoint:
        lines.insert(1, f"mounted   {status.mountpoint}")
    if status.native:
        lines.insert(2, f"native    {status.native}")
    for store in status.stores:
        where = f" {store.root}" if store.root else ""
        state = "" if store.online else ", OFFLINE"
        counts = _listed({"files": store.copies, "missing": store.missing, "damaged": store.damaged})
        lines.append(f"store     {store.name} ({store.kind}{state}){where}: {counts}")
    for count in status.jobs:
        numbers = {"waiting": count.waiting, "running": count.running, "done": count.done}
        numbers |= {"failed": count.failed, "delayed": count.delayed}
        lines.append(f"jobs      {count.processor}: {_listed(numbers)}")
    lines += [f"processor {name}: {state}" for name, state in status.processors.items() if state != "ready"]
    lines += [f"scanning  {name}" for name in status.scanning]
    lines += [f"held back {name}: {reason}" for name, reason in status.held_back.items()]
    lines += [f"sidecar   {name}: {reason}" for name, reason in status.sidecars.items()]
    lines += [f"failed    {failure.processor}: {failure.name}: {failure.error}" for failure in status.failures]
    return "\n".join(lines) + "\n"


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number) or "none"

"""Orders of directed graphs, each in time linear in nodes and edges, and without recursion."""

from collections.abc import Callable, Iterable


def topological_order(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Nodes with every edge pointing forward, otherwise in the order given.

    Args:
        nodes: names, each once.
        edges: pairs (source, target) of them.

    Returns:
        All nodes but those on a loop or behind one, so that a result shorter than `nodes` says that there is a loop.
    """
    place = {name: i for i, name in enumerate(nodes)}
    targets: dict[str, list[str]] = {name: [] for name in place}
    waits = dict.fromkeys(place, 0)
    for source, target in edges:
        targets[source].append(target)
        waits[target] += 1
    order: list[str] = []
    ready = [name for name, count in waits.items() if not count]
    while ready:
        order += ready
        freed = []
        for target in (target for source in ready for target in targets[source]):
            waits[target] -= 1
            freed += [] if waits[target] else [target]
        ready = sorted(freed, key=place.__getitem__)
    return tuple(order)


def reachable(starts: Iterable[str], neighbours: Callable[[str], Iterable[str]]) -> dict[str, None]:
    """The nodes that some starts lead to, themselves included, as the keys of a dictionary in the order of a depth-first visit."""
    seen: dict[str, None] = {}
    waiting = [*starts]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen[name] = None
            waiting.extend(neighbours(name))
    return seen


def shortest_way(start: str, goal: str, neighbours: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """The nodes on a way of fewest edges, both ends included; empty where there is none. From a node to itself it is a loop."""
    before: dict[str, str] = {}
    front = [start]
    while front and goal not in before:
        found = {}
        for name in front:
            found.update({each: name for each in neighbours(name) if each not in before and each not in found})
        before.update(found)
        front = [*found]
    if goal not in before:
        return ()
    way = [goal, before[goal]]
    while way[-1] != start:
        way.append(before[way[-1]])
    return tuple(reversed(way))

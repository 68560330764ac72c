"""JSON merge patch (RFC 7396). The target is never changed: it is shared by every reader of the cached row."""

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with the members of `patch`: null removes, an object is merged, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged

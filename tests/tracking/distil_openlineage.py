"""Makes openlineage.schema.json from OpenLineage's own: ``python tests/tracking/distil_openlineage.py SPEC``.

SPEC is the folder ``spec`` of github.com/OpenLineage/OpenLineage. Kept are the run event and the facets that
we send, with their types, enumerations and required fields; descriptions and examples go. One thing is added:
a facet of OpenLineage that has a key which its schema lacks is refused, so that a misspelt field does not
pass as one of somebody else's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COMMIT = "8f02abfb7a252783b95df79f443edb13959bf52c"
FACETS = (
    "ColumnLineageDatasetFacet",
    "DataQualityMetricsInputDatasetFacet",
    "DatasetVersionDatasetFacet",
    "ErrorMessageRunFacet",
    "JobTypeJobFacet",
    "OutputStatisticsOutputDatasetFacet",
    "ParentRunFacet",
    "ProcessingEngineRunFacet",
    "SchemaDatasetFacet",
    "TagsJobFacet",
    "TagsRunFacet",
)
_DROPPED = {"description", "example", "examples"}
_SAYS_NOTHING = ("additionalProperties", True)  # it would let a misspelt key pass
_EVENTS = {"DatasetEvent", "JobEvent"}  # which a run does not send


def distil(node: Any) -> Any:
    """Return a part of a schema without its texts; a field that has such a name stays."""
    if isinstance(node, list):
        return [distil(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: distil(child) for name, child in value.items()} if key == "properties" else distil(value)
        for key, value in node.items()
        if (key not in _DROPPED or isinstance(value, dict)) and (key, value) != _SAYS_NOTHING
    }


def main(folder: str) -> None:
    """Write the schemas, each under its ``$id``, beside this file."""
    event = distil(json.loads(Path(folder, "OpenLineage.json").read_text()))
    event["$defs"] = {name: part for name, part in event["$defs"].items() if name not in _EVENTS}
    event.pop("oneOf", None)
    found = [event]
    for name in FACETS:
        schema = distil(json.loads(Path(folder, "facets", f"{name}.json").read_text()))
        schema["$defs"][name]["unevaluatedProperties"] = False
        found.append(schema)
    document = {
        "title": "OpenLineage: the run event and the facets that a run of ours may send",
        "description": f"Distilled by distil_openlineage.py from spec/ of OpenLineage {COMMIT}.",
        "schemas": {schema.pop("$id"): schema for schema in found},
    }
    Path(__file__).with_name("openlineage.schema.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

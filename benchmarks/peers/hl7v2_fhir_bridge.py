"""Runs where hl7v2-fhir-bridge is installed: µs for each message of the workflow that its own demonstration sends.

With a folder as argument it also writes those messages there, for the peer in Java.
"""

import json
import statistics
import sys
import time
from pathlib import Path

from v2fhir.config import default_config_path, load_config
from v2fhir.convert import convert
from v2fhir.hl7.parser import parse_bytes
from v2fhir.tools.ris_sim import demo_script

settings = load_config(default_config_path())
messages = [text.encode() for _, text in demo_script()]
for number, message in enumerate(messages):
    for folder in sys.argv[1:]:
        Path(folder, f"{number}.hl7").write_bytes(message)
rounds = []
for _ in range(30):
    began = time.perf_counter()
    for message in messages:
        json.dumps(convert(parse_bytes(message), settings).bundle)
    rounds.append((time.perf_counter() - began) * 1e6 / len(messages))
print(json.dumps({"messages": len(messages), "us": round(statistics.median(rounds), 1)}))

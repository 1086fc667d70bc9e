"""Runs where python-fhir-converter is installed: µs for an invented C-CDA document by its template for such documents.

The package has no sample of its own. The document has a patient, an author and a section of allergies without entries,
so it is far smaller than documents in use, which its author states to take 8 to 20 ms.
"""

import json
import statistics
import time

from fhir_converter.renderers import CcdaRenderer

DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <templateId root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"/>
  <id root="1.2.3.4.5" extension="invented"/>
  <code code="34133-9" codeSystem="2.16.840.1.113883.6.1" displayName="Summarization of Episode Note"/>
  <title>Invented summary</title>
  <effectiveTime value="20260101120000+0100"/>
  <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
  <languageCode code="en"/>
  <recordTarget><patientRole>
    <id root="1.2.3.4.5.6" extension="patient"/>
    <addr use="HP"><streetAddressLine>Road 1</streetAddressLine><city>Town</city><postalCode>4000</postalCode></addr>
    <telecom value="tel:+45-55550101" use="HP"/>
    <patient><name use="L"><given>Ida</given><family>Invented</family></name>
      <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="19600102"/></patient>
  </patientRole></recordTarget>
  <author><time value="20260101120000+0100"/><assignedAuthor><id root="1.2.3.4.5.7" extension="author"/>
    <assignedPerson><name><given>Bo</given><family>Invented</family></name></assignedPerson></assignedAuthor></author>
  <component><structuredBody><component><section nullFlavor="NI">
    <templateId root="2.16.840.1.113883.10.20.22.2.6.1" extension="2015-08-01"/>
    <code code="48765-2" codeSystem="2.16.840.1.113883.6.1"/><title>Allergies</title><text>No information</text>
  </section></component></structuredBody></component>
</ClinicalDocument>
"""

renderer = CcdaRenderer()
bundle = json.loads(renderer.render_fhir_string("CCD", DOCUMENT))
if not any(entry["resource"]["resourceType"] == "Patient" for entry in bundle["entry"]):
    raise SystemExit("the document gives no Patient")
rounds = []
for _ in range(30):
    began = time.perf_counter()
    renderer.render_fhir_string("CCD", DOCUMENT)
    rounds.append((time.perf_counter() - began) * 1e6)
print(json.dumps({"messages": 1, "us": round(statistics.median(rounds), 1)}))

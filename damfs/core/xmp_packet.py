"""An XMP packet: what it says, and the same packet saying something else, with everything damfs does not know kept.

Pure but slow: for threads, never on the loop. Built for bytes from anywhere: no document type, no entities, no network,
no deep or huge trees; BadMedia with one clear line instead. Source of the format: Adobe's XMP specification, part 1,
and what Lightroom and digiKam write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from damfs.core.sidecar_record import REJECTED, SidecarRecord, TagPath
from damfs.errors import BadMedia

SIZE_LIMIT = 16 << 20
"""Bytes of a packet; sidecars of programs that keep every brush stroke are a few MB."""
X, RDF = "adobe:ns:meta/", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC, XMP = "http://purl.org/dc/elements/1.1/", "http://ns.adobe.com/xap/1.0/"
LR, DIGIKAM = "http://ns.adobe.com/lightroom/1.0/", "http://www.digikam.org/ns/1.0/"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
PREFIXES = {DC: "dc", XMP: "xmp", LR: "lr", DIGIKAM: "digiKam"}

SUBJECT, DESCRIPTION = f"{{{DC}}}subject", f"{{{DC}}}description"
RATING, LABEL = f"{{{XMP}}}Rating", f"{{{XMP}}}Label"
HIERARCHICAL, TAGS_LIST = f"{{{LR}}}hierarchicalSubject", f"{{{DIGIKAM}}}TagsList"
ITEM = f"{{{RDF}}}li"
VALUE, NODE = f"{{{RDF}}}value", f"{{{RDF}}}Description"
NEW = (
    f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="{X}" x:xmptk="damfs">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n  <rdf:Description rdf:about="" xmlns:dc="{DC}" xmlns:xmp="{XMP}"\n'
    f'    xmlns:lr="{LR}" xmlns:digiKam="{DIGIKAM}">\n  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n'
    '<?xpacket end="w"?>\n'
).encode()
FORBIDDEN = ("<!DOCTYPE", "<!ENTITY")

Element = Any
"""lxml has no types of its own."""


def record_of(data: bytes, name: str) -> SidecarRecord:
    """What a packet says. ``name`` stands in errors. Raises BadMedia."""
    return _read(_descriptions(_parsed(data, name), name))


def rewritten(data: bytes | None, record: SidecarRecord, name: str) -> bytes:
    """The packet, saying what the record says; without one a new packet. Raises BadMedia, also where what comes of it
    would be read otherwise."""
    tree = _parsed(NEW if data is None else data, name)
    descriptions = _descriptions(tree, name)
    _write(descriptions, record)
    text: bytes = etree.tostring(
        tree, encoding="UTF-8", xml_declaration=bool(data and data.lstrip().startswith(b"<?xml"))
    )
    if record_of(text, name) != record:
        raise BadMedia(f"{name}: its XMP is of a form that damfs cannot change; it stays as it is")
    return text


def _parsed(data: bytes, name: str) -> Element:
    if len(data) > SIZE_LIMIT:
        raise too_big(name, len(data))
    if any(word.encode(code) in data for word in FORBIDDEN for code in ("ascii", "utf-16-le", "utf-16-be")):
        raise BadMedia(f"{name}: it declares a document type or entities, which no XMP has; it is left alone")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        return etree.fromstring(data.strip(b"\0 \t\r\n"), parser).getroottree()
    except (etree.XMLSyntaxError, ValueError) as error:
        why = str(error).split("\n", 1)[0]
        raise BadMedia(f"{name}: it is no whole XMP packet ({why}); restore it, or write it again") from None


def too_big(name: str, size: int) -> BadMedia:
    return BadMedia(f"{name}: {size >> 20} MB are no sidecar (the limit is {SIZE_LIMIT >> 20} MB); it is left alone")


def _descriptions(tree: Element, name: str) -> list[Element]:
    """Every rdf:Description at the top; one is made where there is none."""
    root = tree.getroot()
    rdf = root if root.tag == f"{{{RDF}}}RDF" else root.find(f"{{{RDF}}}RDF")
    if rdf is None or root.tag not in {f"{{{RDF}}}RDF", f"{{{X}}}xmpmeta", f"{{{X}}}xapmeta"}:
        raise BadMedia(f"{name}: it is XML, but no XMP packet; it is left alone")
    found = rdf.findall(f"{{{RDF}}}Description")
    return found or [etree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})]


def _read(descriptions: list[Element]) -> SidecarRecord:
    stars = _simple(descriptions, RATING)
    return SidecarRecord(
        tuple(_items(descriptions, SUBJECT)),
        tuple(_paths(_items(descriptions, HIERARCHICAL), "|")),
        tuple(_paths(_items(descriptions, TAGS_LIST), "/")),
        _stars(stars),
        _simple(descriptions, LABEL),
        _alternative(descriptions, DESCRIPTION),
    )


def _stars(text: str) -> int | None:
    try:
        value = float(text)
        return max(REJECTED, min(5, round(value)))
    except (ValueError, OverflowError):
        return None


def _properties(descriptions: list[Element], tag: str) -> Iterator[Element]:
    for description in descriptions:
        yield from description.findall(tag)


def _simple(descriptions: list[Element], tag: str) -> str:
    """As an attribute or as an element: both are in use."""
    for description in descriptions:
        if tag in description.attrib:
            return str(description.attrib[tag]).strip()
    return next((_text(found) for found in _properties(descriptions, tag)), "")


def _items(descriptions: list[Element], tag: str) -> list[str]:
    """Of a bag or sequence; one that is written as a plain value is a list of one."""
    found = [_text(item) for item in _list(descriptions, tag)]
    if not found:
        found = [_simple(descriptions, tag)]
    return list(dict.fromkeys(text for text in found if text))


def _alternative(descriptions: list[Element], tag: str) -> str:
    items = _list(descriptions, tag)
    best = min(items, key=lambda item: item.get(XML_LANG) != "x-default", default=None)
    return _simple(descriptions, tag) if best is None else _text(best)


def _list(descriptions: list[Element], tag: str) -> list[Element]:
    """Items of its arrays, not those of what qualifies them."""
    return [item for each in _properties(descriptions, tag) for item in each.iterfind(f"*/{ITEM}")]


def _text(element: Element) -> str:
    return (_bearer(element).text or "").strip()


def _bearer(element: Element) -> Element:
    """The element that holds the text: one that is qualified has it in an rdf:value, of its own or of a node."""
    for path in (VALUE, f"{NODE}/{VALUE}"):
        found = element.find(path)
        if found is not None:
            return found
    return element


def _paths(texts: Sequence[str], separator: str) -> Iterator[TagPath]:
    for text in texts:
        path = tuple(step.strip() for step in text.split(separator) if step.strip())
        if path:
            yield path


def _write(descriptions: list[Element], record: SidecarRecord) -> None:
    now = _read(descriptions)
    if record.subjects != now.subjects:
        _set_items(descriptions, SUBJECT, "Bag", record.subjects)
    if record.hierarchical != now.hierarchical:
        _set_items(descriptions, HIERARCHICAL, "Bag", tuple("|".join(path) for path in record.hierarchical))
    if record.tags_list != now.tags_list:
        _set_items(descriptions, TAGS_LIST, "Seq", tuple("/".join(path) for path in record.tags_list))
    if record.stars != now.stars:
        _set_simple(descriptions, RATING, "" if record.stars is None else str(record.stars))
    if record.label != now.label:
        _set_simple(descriptions, LABEL, record.label)
    if record.description != now.description:
        _set_alternative(descriptions, record.description)


def _set_simple(descriptions: list[Element], tag: str, value: str) -> None:
    """Where it stands, and in the form it has there."""
    for description in descriptions:
        if tag in description.attrib:
            if value:
                description.attrib[tag] = value
            else:
                del description.attrib[tag]
            return
    found = next(_properties(descriptions, tag), None)
    if found is not None and not value:
        _remove(found)
    elif found is not None:
        _bearer(found).text = value
    elif value:
        _added(descriptions, tag).text = value


def _set_items(descriptions: list[Element], tag: str, kind: str, values: Sequence[str]) -> None:
    """Items that stay keep their elements, with whatever qualifies them."""
    there = list(_properties(descriptions, tag))
    known = {_text(item): item for item in _list(descriptions, tag)}
    for description in descriptions:
        description.attrib.pop(tag, None)
    for each in there if not values else there[1:]:
        _remove(each)
    if not values:
        return
    prop = there[0] if there else _added(descriptions, tag)
    tail = prop.tail
    for child in list(prop):
        prop.remove(child)
    prop.text = None
    array = etree.SubElement(prop, f"{{{RDF}}}{kind}")
    for value in values:
        item = known.get(value)
        if item is None:
            etree.SubElement(array, ITEM).text = value
        else:
            array.append(item)
    _indent(prop, tail)


def _set_alternative(descriptions: list[Element], value: str) -> None:
    """The default language's; other languages are kept unless there is nothing to say."""
    there = list(_properties(descriptions, DESCRIPTION))
    items = _list(descriptions, DESCRIPTION)
    for description in descriptions:
        description.attrib.pop(DESCRIPTION, None)
    if not value:
        for each in there:
            _remove(each)
    elif items:
        _bearer(min(items, key=lambda item: item.get(XML_LANG) != "x-default")).text = value
    else:
        prop = there[0] if there else _added(descriptions, DESCRIPTION)
        prop.text = None
        array = etree.SubElement(prop, f"{{{RDF}}}Alt")
        etree.SubElement(array, ITEM, {XML_LANG: "x-default"}).text = value
        _indent(prop, prop.tail)


def _added(descriptions: list[Element], tag: str) -> Element:
    namespace = etree.QName(tag).namespace
    parent = descriptions[0]
    made = etree.SubElement(parent, tag, nsmap={PREFIXES[namespace]: namespace})
    before = made.getprevious()
    if before is None:
        parent.text = "\n   "
    else:
        before.tail = "\n   "
    made.tail = "\n  "
    return made


def _indent(prop: Element, tail: str | None) -> None:
    etree.indent(prop, space=" ", level=3)
    prop.tail = tail


def _remove(element: Element) -> None:
    element.getparent().remove(element)

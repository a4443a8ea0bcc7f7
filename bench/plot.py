"""The figures of a run as an SVG: one panel for each number of flows, bars with their spread, the limit as a line."""

COLOURS = {"shunt": "#1b6ca8", "ovs": "#e08e45", "ovs-smc": "#c4a35a", "testpmd": "#777777"}
BAR, GAP, HEIGHT, LEFT, TOP = 16, 18, 240, 56, 44


def scale(most):
    """A round upper end and the distance of its lines."""
    step = 1
    while most / step > 8:
        step = step * 2 if str(step)[0] in "15" else step * 5 // 2
    return step * (int(most / step) + 1), step


def text(x, y, words, size=11, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {extra}>{words}</text>\n'


def panel(cells, left, most, step):
    """Bars of the cells of one number of flows; what was drawn and how wide it is."""
    parts, x = "", left
    y = lambda mpps: TOP + HEIGHT * (1 - mpps / most)
    for cell in cells:
        bars = [(name, cell["results"][name]["mpps"]) for name in ("shunt", "ovs", "ovs-smc") if name in cell["results"]]
        middle = x + len(bars) * BAR / 2
        for name, mpps in bars:
            top, centre = y(mpps["median"]), x + BAR / 2
            parts += f'<rect x="{x}" y="{top:.1f}" width="{BAR - 2}" height="{TOP + HEIGHT - top:.1f}" fill="{COLOURS[name]}"/>\n'
            parts += f'<path d="M{centre:.1f} {y(mpps["min"]):.1f}V{y(mpps["max"]):.1f}" stroke="#222"/>\n'
            x += BAR
        parts += text(middle, TOP + HEIGHT + 14, cell["scenario"])
        ratio = cell.get("ratio_to_better_ovs")
        if ratio:
            parts += text(middle, TOP + HEIGHT + 28, f"{ratio:.1f}x", 10)
        x += GAP
    for i in range(int(most / step) + 1):
        parts += f'<path d="M{left - 4} {y(i * step):.1f}H{x}" stroke="#ccc" stroke-width="0.5"/>\n' + text(left - 8, y(i * step) + 4, i * step, 10, "end")
    limit = next((c["results"]["testpmd"]["mpps"]["median"] for c in cells if "testpmd" in c["results"]), None)
    if limit and limit <= most:
        parts += f'<path d="M{left} {y(limit):.1f}H{x}" stroke="{COLOURS["testpmd"]}" stroke-dasharray="5 3"/>\n'
    elif limit:
        parts += text(x - GAP, TOP - 4, f"testpmd {limit:g}", 10, "end")
    return parts, x


def draw(result):
    """The whole picture; empty panels are left out."""
    cells = [c for c in result["cells"] if c["results"]]
    groups = [("%s flows" % f"{flows:,}", [c for c in cells if c["part"] == "scenario" and c["flows"] == flows])
              for flows in sorted({c["flows"] for c in cells if c["part"] == "scenario"})]
    groups.append(("shapes", [c for c in cells if c["part"] == "shape"]))
    parts, x = "", LEFT
    for title, some in groups:
        if not some:
            continue
        highest = max(r["mpps"]["max"] for c in some for name, r in c["results"].items() if name != "testpmd")
        most, step = scale(highest)
        drawn, end = panel(some, x, most, step)
        parts += drawn + text((x + end) / 2, 16, title + ", Mpps", 13)
        x = end + LEFT
    at = LEFT
    for name, colour in COLOURS.items():
        parts += f'<rect x="{at}" y="{TOP + HEIGHT + 40}" width="10" height="10" fill="{colour}"/>\n' + text(at + 15, TOP + HEIGHT + 49, name, 11, "start")
        at += 90
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(x, at)}" height="{TOP + HEIGHT + 60}" font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n{parts}</svg>\n')

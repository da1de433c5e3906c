//! Writing HTML: everything that is not a literal of this program goes through [`escape`].

use super::view::{Align, Block, Cell, Page, Panel, Row, Table, Tone};

/// Returns `text` so that it can stand in an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Control characters are not allowed in HTML, but a configuration may hold them.
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A document under construction. `raw` takes literals of the program, `text` everything else.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    /// Number of the next live cell: position in [`Page::live`].
    live: usize,
}

impl Writer {
    /// Appends markup as it is.
    pub fn raw(&mut self, markup: &str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Appends text, escaped.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.out.push_str(&escape(text));
        self
    }

    /// Appends ` name="value"`, the value escaped.
    pub fn attr(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// Returns the document.
    pub fn finish(self) -> String {
        self.out
    }

    fn key(&mut self, cell: &Cell) {
        if cell.live {
            let key = self.live.to_string();
            self.live += 1;
            self.attr("data-k", &key);
        }
    }

    fn cell(&mut self, cell: &Cell) {
        if cell.image {
            return self.image(cell);
        }
        match (&cell.bar, &cell.href) {
            (Some(bar), _) => self.bar(cell, *bar),
            (None, Some(href)) => {
                self.raw("<a").attr("href", href);
                self.inside(cell).raw("</a>");
            }
            (None, None) => {
                self.raw("<span");
                self.inside(cell).raw("</span>");
            }
        }
    }

    fn inside(&mut self, cell: &Cell) -> &mut Self {
        self.key(cell);
        if cell.tone != Tone::Plain {
            self.attr("class", cell.tone.class());
        }
        self.raw(">").text(&cell.text)
    }

    /// A picture; one that is not there has no address at all, so that none is asked for.
    fn image(&mut self, cell: &Cell) {
        self.raw("<img alt=\"\" loading=\"lazy\"");
        self.key(cell);
        if !cell.text.is_empty() {
            self.attr("src", &cell.text);
        }
        self.raw(">");
    }

    /// A bar in SVG: its width is an attribute, which a strict content policy allows where a style is not.
    fn bar(&mut self, cell: &Cell, percent: f64) {
        self.raw("<svg class=\"bar\" aria-hidden=\"true\"><rect class=\"rail\" width=\"100%\" height=\"100%\"/><rect");
        self.key(cell);
        self.attr("class", cell.tone.class()).attr("width", &format!("{percent:.1}%"));
        self.raw(" height=\"100%\"/></svg>");
    }

    fn panel(&mut self, panel: &Panel) {
        self.raw("<section class=\"panel\"><h2>");
        match &panel.href {
            Some(href) => self.raw("<a").attr("href", href).raw(">").text(&panel.title).raw("</a>"),
            None => self.text(&panel.title),
        };
        self.raw("</h2><dl>");
        for (label, cell) in &panel.rows {
            self.raw("<div><dt>").text(label).raw("</dt><dd>");
            self.cell(cell);
            self.raw("</dd></div>");
        }
        self.raw("</dl></section>");
    }

    fn table(&mut self, table: &Table) {
        // Rows of several lines become cards on a narrow screen: each cell then says whose column it is.
        let cards = table.columns.iter().any(|(_, align)| *align == Align::Lines);
        self.raw(if cards { "<section class=\"sheet cards\"><h2>" } else { "<section class=\"sheet\"><h2>" })
            .text(&table.title)
            .raw("</h2><div class=\"scroll\"><table><thead><tr>");
        for (name, align) in &table.columns {
            self.raw("<th scope=\"col\"").attr("class", align.class()).raw(">").text(name).raw("</th>");
        }
        self.raw("</tr></thead><tbody>");
        for row in &table.rows {
            self.row(row, &table.columns, cards);
        }
        self.raw("</tbody></table></div></section>");
    }

    fn row(&mut self, row: &Row, columns: &[(String, Align)], cards: bool) {
        self.raw(if row.first { "<tr class=\"first\">" } else { "<tr>" });
        // A continued row lacks the leading cells, which span down from the first one.
        let skipped = columns.len().saturating_sub(row.cells.len());
        for (cell, (name, align)) in row.cells.iter().zip(columns.iter().skip(skipped)) {
            self.raw("<td").attr("class", align.class());
            if cards {
                self.attr("data-h", name);
            }
            if cell.span > 1 {
                self.attr("rowspan", &cell.span.to_string());
            }
            self.raw(">");
            self.cell(cell);
            self.raw("</td>");
        }
        self.raw("</tr>");
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Panels(panels) => {
                self.raw("<div class=\"panels\">");
                panels.iter().for_each(|p| self.panel(p));
                self.raw("</div>");
            }
            Block::Table(table) => self.table(table),
            Block::Notice(cell) => {
                self.raw("<p class=\"notice\" role=\"status\">");
                self.cell(cell);
                self.raw("</p>");
            }
            Block::Board(lines) => {
                self.raw("<section class=\"board\">");
                for line in lines {
                    self.raw("<p>");
                    self.cell(line);
                    self.raw("</p>");
                }
                self.raw("</section>");
            }
            Block::Trend { href, title, html } => {
                self.raw("<section class=\"sheet\"><h2>")
                    .text(title)
                    .raw("</h2><div id=\"trend\"")
                    .attr("data-src", href);
                self.raw(">").raw(html).raw("</div></section>");
            }
        }
    }
}

/// Returns a whole page.
pub fn page(page: &Page) -> String {
    let mut w = Writer::default();
    w.raw("<!DOCTYPE html><html").attr("lang", page.frame.lang.code()).raw("><head><meta charset=\"utf-8\">");
    w.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    w.raw("<title>").text(&page.title).raw(" · ").text(&page.frame.site).raw("</title>");
    w.raw("<link rel=\"icon\" href=\"/favicon.svg\"><link rel=\"stylesheet\"").attr("href", &page.frame.style).raw(">");
    if let Some(seconds) = page.refresh {
        w.raw("<noscript><meta http-equiv=\"refresh\"").attr("content", &seconds.to_string()).raw("></noscript>");
    }
    w.raw("<script defer").attr("src", &page.frame.script).raw("></script></head><body");
    if let Some(events) = &page.events {
        w.attr("data-events", events).attr("data-shape", &page.shape());
    }
    w.raw(">");
    frame(&mut w, page);
    let one = page.blocks.iter().any(|block| matches!(block, Block::Trend { .. }));
    w.raw(if one { "<main class=\"one\">" } else { "<main>" });
    page.blocks.iter().for_each(|block| w.block(block));
    w.raw("</main></body></html>");
    w.finish()
}

fn frame(w: &mut Writer, page: &Page) {
    let frame = &page.frame;
    w.raw("<header><div class=\"site\"><b>")
        .text(&frame.site)
        .raw("</b><small>")
        .text(&frame.ids)
        .raw("</small></div><nav>");
    for (name, href, here) in &frame.nav {
        w.raw("<a").attr("href", href).raw(if *here { " aria-current=\"page\">" } else { ">" }).text(name).raw("</a>");
    }
    w.raw("</nav><div class=\"time\">");
    w.cell(&frame.time);
    w.raw("<small>").text(&frame.zone).raw(" ");
    w.cell(&frame.trust);
    w.raw("</small></div><a class=\"lang\"").attr("href", &frame.other_href).attr("lang", frame.lang.other().code());
    w.raw(">").text(&frame.other_name).raw("</a></header>");
    w.raw("<div id=\"lost\" role=\"alert\" hidden").attr("data-lost", &frame.lost).attr("data-for", &frame.lost_for);
    w.raw("></div>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_can_become_markup() {
        assert_eq!(
            escape("<script>alert('1')</script> & \"x\"\u{0}"),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;\u{fffd}"
        );
        assert_eq!(escape("东区网关 ℃"), "东区网关 ℃");
    }

    #[test]
    fn attributes_and_text_are_escaped_and_literals_are_not() {
        let mut w = Writer::default();
        w.raw("<a").attr("href", "/x?a=1&b=\"2\"").raw(">").text("a<b").raw("</a>");
        assert_eq!(w.finish(), "<a href=\"/x?a=1&amp;b=&quot;2&quot;\">a&lt;b</a>");
    }
}

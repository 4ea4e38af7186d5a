//! Pieces that the sections are made of.

use std::fmt::Display;

use super::findings::Grade;
use super::html::Html;

/// A figure that only grows; the script shows what it grows by in a second.
pub(super) fn counter(
    out: &mut Html,
    key: impl Display,
    total: f64,
    unit: &'static str,
    shown: impl Display,
) {
    out.raw("<span data-key=\"").text(key).raw("\" data-total=\"").text(total);
    out.raw("\" data-unit=\"").raw(unit).raw("\">").text(shown).raw("</span>");
}

/// A figure that goes up and down.
pub(super) fn gauge(out: &mut Html, key: impl Display, value: f64, shown: impl Display) {
    out.raw("<span data-key=\"").text(key).raw("\" data-value=\"").text(value).raw("\">");
    out.text(shown).raw("</span>");
}

/// Where the script draws the last minutes of a figure; `max` fixes the scale.
pub(super) fn spark(out: &mut Html, key: impl Display, max: Option<u32>) {
    out.raw("<svg class=\"spark\" viewBox=\"0 0 100 24\" preserveAspectRatio=\"none\" ");
    out.raw("aria-hidden=\"true\" data-of=\"").text(key).raw("\"");
    if let Some(max) = max {
        out.raw(" data-max=\"").text(max).raw("\"");
    }
    out.raw("><path class=\"area\"/><path class=\"line\"/></svg>");
}

/// A share of 1 as a bar. The figure stands beside it for those who cannot see it.
pub(super) fn bar(out: &mut Html, share: f64, grade: Grade) {
    out.raw("<svg class=\"bar ").raw(grade.class());
    out.raw("\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    out.raw("<rect class=\"rail\" width=\"100\" height=\"6\"/><rect width=\"");
    out.text(format_args!("{:.2}", share * 100.0)).raw("\" height=\"6\"/></svg>");
}

/// A part of the page under a heading of its own.
pub(super) fn section(
    out: &mut Html,
    id: &'static str,
    title: &'static str,
    fill: impl FnOnce(&mut Html),
) {
    out.raw("<section id=\"").raw(id).raw("\">\n<h2>").raw(title).raw("</h2>\n");
    fill(out);
    out.raw("</section>\n");
}

/// A list whose items are rows of this class.
pub(super) fn rows<T>(
    out: &mut Html,
    class: &'static str,
    items: impl IntoIterator<Item = T>,
    mut fill: impl FnMut(&mut Html, T),
) {
    out.raw("<ul class=\"").raw(class).raw("\">\n");
    for item in items {
        fill(out, item);
        out.raw("\n");
    }
    out.raw("</ul>\n");
}

/// What a row is about, and beside it in small letters what that is.
pub(super) fn name(out: &mut Html, name: &str, what: impl Display) {
    out.raw("<div class=\"name\"><b>").text(name).raw("</b> <span class=\"what\">").text(what);
    out.raw("</span></div>");
}

/// What few people look for, folded away.
pub(super) fn folded(
    out: &mut Html,
    id: &'static str,
    summary: impl Display,
    fill: impl FnOnce(&mut Html),
) {
    out.raw("<details id=\"").raw(id).raw("\"><summary>").text(summary).raw("</summary>\n");
    fill(out);
    out.raw("</details>\n");
}

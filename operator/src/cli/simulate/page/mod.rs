//! The bill of a simulation as a page that stands alone: no script, no font, no image from elsewhere.

mod chart;
mod hours;

use std::fmt::{self, Display, Write as _};

use tollkeeper_core::identity::{DimensionName, ObjectKey};

use super::{
    bill::not_billed,
    money::{amount, price, sum},
    notable::{gaps, others},
    result::Simulation,
};
use crate::{
    cli::money::{grouped, usd},
    manifest::Manifests,
};

const STYLE: &str = include_str!("style.css");

/// The bill as a page.
pub(super) fn html(simulation: &Simulation, manifests: &Manifests) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut out, simulation, manifests);
    out
}

/// A text inside HTML, in an element or in a quoted attribute.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.to_string().chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

fn write_page(out: &mut String, simulation: &Simulation, manifests: &Manifests) -> fmt::Result {
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Simulated bill</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    write_head(out, simulation, manifests)?;
    write_verdict(out, simulation)?;
    write_bill(out, simulation, manifests)?;
    chart::write(out, simulation)?;
    hours::write(out, simulation)?;
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

fn write_head(out: &mut String, simulation: &Simulation, manifests: &Manifests) -> fmt::Result {
    let (from, to) = simulation.span;
    let (total, all_priced) = sum(simulation, manifests);
    let missed: u64 =
        simulation.entries.iter().map(|entry| u64::from(entry.report.body.evidence.missed)).sum();
    let ticks: u64 = simulation.entries.iter().map(|entry| u64::from(entry.report.body.evidence.ticks)).sum();
    let products: Vec<String> = manifests.products.keys().map(ToString::to_string).collect();
    write!(
        out,
        "<header>\n<h1>Simulated bill</h1>\n<p class=\"quiet\">{} &middot; <time>{from}</time> to <time>{to}</time></p>\n\
         </header>\n<dl class=\"figures\">\n",
        Escaped(products.join(", "))
    )?;
    let of = if all_priced { "USD" } else { "USD, without the dimensions that have no price" };
    for (what, figure) in [
        (of, usd(total)),
        ("records that AWS took", grouped(simulation.books.accepted.len() as u128)),
        ("hours sealed", grouped(simulation.entries.len() as u128)),
        ("ticks missed", format!("{} of {}", grouped(missed.into()), grouped(ticks.into()))),
    ] {
        writeln!(out, "<div><dt>{what}</dt><dd>{figure}</dd></div>")?;
    }
    out.push_str("</dl>\n");
    Ok(())
}

/// Whether all is well, before anything else.
fn write_verdict(out: &mut String, simulation: &Simulation) -> fmt::Result {
    if simulation.violations.is_empty() {
        writeln!(out, "<p class=\"note good\">{}</p>", Escaped(simulation.agreement()))?;
    }
    let violations = simulation.violations.iter().map(ToString::to_string).collect();
    let notable =
        simulation.problems.iter().cloned().chain(others(simulation)).chain(gaps(simulation)).collect();
    write_list(out, "bad", "Broken rules", violations)?;
    write_list(out, "warn", "Worth a look", notable)
}

fn write_list(out: &mut String, class: &str, title: &str, lines: Vec<String>) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section class=\"note {class}\">\n<h2>{title}</h2>\n<ul>")?;
    for line in lines {
        writeln!(out, "<li>{}</li>", Escaped(line))?;
    }
    out.push_str("</ul>\n</section>\n");
    Ok(())
}

fn write_bill(out: &mut String, simulation: &Simulation, manifests: &Manifests) -> fmt::Result {
    out.push_str(
        "<h2>Bill</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Product</th><th>Dimension</th>\
         <th class=\"n\">Measured</th><th class=\"n\">Billed units</th><th class=\"n\">Remainder</th><th>Not billed</th>\
         <th class=\"n\">Price, USD</th><th class=\"n\">Amount, USD</th></tr></thead>\n<tbody>\n",
    );
    for ((product, dimension), total) in &simulation.totals() {
        let price = price(manifests, product, dimension.as_str());
        let or_dash = |amount: Option<u128>| amount.map_or_else(|| "-".to_owned(), usd);
        writeln!(
            out,
            "<tr><td>{}</td><td>{}{}</td><td class=\"n\">{}</td><td class=\"n strong\">{}</td><td class=\"n\">{}</td>\
             <td>{}</td><td class=\"n\">{}</td><td class=\"n strong\">{}</td></tr>",
            Escaped(&product.name),
            Escaped(dimension),
            description(manifests, product, dimension),
            total.measured,
            grouped(total.billed.into()),
            total.remainder,
            not_billed(total),
            or_dash(price),
            or_dash(price.map(|price| amount(total, price))),
        )?;
    }
    let (total, _) = sum(simulation, manifests);
    writeln!(
        out,
        "</tbody>\n<tfoot><tr><th colspan=\"7\">Total</th><td class=\"n strong\">{}</td></tr></tfoot>\n</table></div>",
        usd(total)
    )
}

fn description(manifests: &Manifests, product: &ObjectKey, dimension: &DimensionName) -> String {
    let spec = manifests.products.get(product).map(|(_, object)| &object.spec);
    let declared = spec.and_then(|spec| spec.dimensions.iter().find(|one| one.name == dimension.as_str()));
    let text = declared.and_then(|declared| declared.description.clone()).unwrap_or_default();
    if text.is_empty() { text } else { format!("<span class=\"quiet\">{}</span>", Escaped(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_a_meaning_in_html_is_escaped() {
        let text = Escaped("<b onclick=\"a('&')\">").to_string();
        assert_eq!(text, "&lt;b onclick=&quot;a(&#39;&amp;&#39;)&quot;&gt;");
    }
}

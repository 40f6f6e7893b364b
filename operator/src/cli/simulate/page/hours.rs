//! Every hour, folded up by day: each number with what it rests on.

use std::fmt::{self, Write as _};

use tollkeeper_core::{ledger::Entry, report::SealedRecord, settlement::RecordStatus};

use super::Escaped;
use crate::cli::simulate::result::Simulation;

pub(super) fn write(out: &mut String, simulation: &Simulation) -> fmt::Result {
    out.push_str(
        "<h2>Where each number comes from</h2>\n<p class=\"quiet\">Measured is what the ticks of the hour came to, with what was \
         carried into it; the quantity is what AWS is told; the remainder goes to the next hour. The evidence under each hour names \
         the plugin and the inputs that it was measured with, and the link to the report before.</p>\n",
    );
    let mut entries: Vec<&Entry> = simulation.entries.iter().collect();
    entries.sort_by_key(|entry| (entry.report.body.hour, entry.product()));
    let days: Vec<&[&Entry]> = entries.chunk_by(|one, other| day(one) == day(other)).collect();
    let is_open = if days.len() == 1 { " open" } else { "" };
    for entries in days {
        let Some(first) = entries.first() else { continue };
        let missed: u32 = entries.iter().map(|entry| entry.report.body.evidence.missed).sum();
        let missed = if missed > 0 { format!(", {missed} ticks missed") } else { String::new() };
        let hours = if entries.len() == 1 { "report" } else { "reports" };
        writeln!(
            out,
            "<details class=\"day\"{is_open}><summary>{} <span class=\"quiet\">{} {hours}{missed}</span></summary>\n\
             <div class=\"wide\"><table>\n<thead><tr><th>Hour</th><th>Dimension</th><th class=\"n\">Measured</th>\
             <th class=\"n\">Quantity</th><th class=\"n\">Remainder</th><th>Split</th><th>State</th><th>AWS record</th></tr></thead>",
            day(first),
            entries.len(),
        )?;
        entries.iter().try_for_each(|entry| write_hour(out, entry))?;
        out.push_str("</table></div>\n</details>\n");
    }
    Ok(())
}

fn day(entry: &Entry) -> String {
    entry.report.body.hour.start().strftime("%Y-%m-%d").to_string()
}

fn write_hour(out: &mut String, entry: &Entry) -> fmt::Result {
    let body = &entry.report.body;
    out.push_str("<tbody>\n");
    let records = body.records.iter().zip(&entry.settlement.records);
    for (index, (record, status)) in records.enumerate() {
        out.push_str("<tr>");
        if index == 0 {
            write!(
                out,
                "<td rowspan=\"{}\"><strong>{}</strong><span class=\"quiet\">{}</span></td>",
                body.records.len(),
                body.hour.start().strftime("%H:%M"),
                Escaped(&body.product_ref.name),
            )?;
        }
        write_record(out, record, status)?;
    }
    write_evidence(out, entry)?;
    out.push_str("</tbody>\n");
    Ok(())
}

fn write_record(out: &mut String, record: &SealedRecord, status: &RecordStatus) -> fmt::Result {
    let carried: String = record
        .carried_from
        .iter()
        .map(|from| format!("<span class=\"quiet\">with {} of {}</span>", from.quantity, from.hour))
        .collect();
    let split: Vec<String> = record
        .allocations
        .iter()
        .map(|part| {
            let tags = if part.tags.is_empty() { "untagged".to_owned() } else { part.tags.to_string() };
            format!(
                "<div class=\"part\"><span class=\"n\">{}</span><span>{}</span></div>",
                part.quantity,
                Escaped(tags)
            )
        })
        .collect();
    let split = if split.is_empty() { "-".to_owned() } else { split.concat() };
    let state = format!("{:?}", status.state);
    // Some reasons only repeat the state.
    let reason = status.reason.as_deref().filter(|reason| *reason != state);
    let why: String = [reason, status.message.as_deref()]
        .into_iter()
        .flatten()
        .map(|text| format!("<span class=\"quiet\">{}</span>", Escaped(text)))
        .collect();
    let attempts = match status.attempts {
        0 | 1 => String::new(),
        many => format!("<span class=\"quiet\">{many} attempts</span>"),
    };
    writeln!(
        out,
        "<td>{}</td><td class=\"n\">{}{carried}</td><td class=\"n strong\">{}</td><td class=\"n\">{}</td><td>{split}</td>\
         <td><span class=\"state {state}\">{state}</span>{attempts}{why}</td><td><code>{}</code></td></tr>",
        Escaped(&record.dimension),
        record.measured,
        record.quantity,
        record.remainder,
        Escaped(status.metering_record_id.as_deref().unwrap_or("-")),
    )
}

fn write_evidence(out: &mut String, entry: &Entry) -> fmt::Result {
    let (body, evidence) = (&entry.report.body, &entry.report.body.evidence);
    let missed = if evidence.missed > 0 { "missed" } else { "" };
    writeln!(
        out,
        "<tr class=\"evidence\"><td colspan=\"8\"><details><summary>evidence: {} ticks, <span class=\"{missed}\">{} missed</span></summary>\n<dl>",
        evidence.ticks, evidence.missed
    )?;
    let plugins: Vec<&str> = evidence.plugins().map(tollkeeper_core::identity::Digest::as_str).collect();
    let previous = body.previous.as_ref().map(|link| format!("{} {}", link.name, link.hash));
    for (name, value) in [
        ("report", entry.report.name()),
        ("time told to AWS", body.timestamp.to_string()),
        ("plugin", plugins.join(", then ")),
        ("inputs", evidence.inputs.to_string()),
        ("configuration", evidence.config.to_string()),
        ("report before", previous.unwrap_or_else(|| "none, this is the first".to_owned())),
        ("hash", entry.report.hash.to_string()),
    ] {
        writeln!(out, "<div><dt>{name}</dt><dd><code>{}</code></dd></div>", Escaped(value))?;
    }
    out.push_str("</dl></details></td></tr>\n");
    Ok(())
}

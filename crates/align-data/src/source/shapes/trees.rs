//! Trees of conversations, as Open Assistant collected them: a prompt with ranked replies, each of which may have replies.

use serde_json::Value;

use crate::error::Result;
use crate::record::{DemonstrationBody, Message, Text};
use crate::source::columns::describe;
use crate::source::reply::{Layout, Replies};
use crate::source::rows::Row;

use super::graded::number;

/// The root of the tree as a prompt, and its replies by their ranks, 0 the best.
pub(super) fn replies(row: &mut Row) -> Result<Replies> {
    let root = root(row)?;
    let mut ranked = ranked(&root);
    ranked.dedup_by(|(a, _), (b, _)| a == b);
    if ranked.len() < 2 {
        row.tie("fewer than two replies of the tree have a rank of their own")?;
    }
    let answers = ranked.into_iter().map(|(_, reply)| turn(row, reply).map(|turn| vec![turn].into()));
    let answers = answers.collect::<Result<Vec<Text>>>()?;
    Ok(Replies { prompt: vec![turn(row, &root)?].into(), answers, layout: Layout::Transcripts })
}

/// The conversation along the best replies.
pub(super) fn conversation(row: &mut Row) -> Result<DemonstrationBody> {
    let root = root(row)?;
    let (mut messages, mut at) = (vec![turn(row, &root)?], &root);
    while let Some(best) = best(at) {
        messages.push(turn(row, best)?);
        at = best;
    }
    // A question without an answer ends it as well as the answer before.
    let replies = messages.iter().rposition(|message| message.role == "assistant");
    match replies {
        Some(last) => messages.truncate(last + 1),
        None => return Err(row.wrong("prompt.replies", "a reply", "none")),
    }
    Ok(DemonstrationBody::Messages { messages })
}

/// The root of the tree as a prompt.
pub(super) fn prompt(row: &mut Row) -> Result<Text> {
    let root = root(row)?;
    Ok(vec![turn(row, &root)?].into())
}

fn root(row: &mut Row) -> Result<Value> {
    row.take("message_tree_id")?;
    match row.take("prompt")? {
        root @ Value::Object(_) => Ok(root),
        other => Err(row.wrong("prompt", "the root of a tree, an object", describe(&other))),
    }
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    let is_kept = |reply: &&Value| reply.get("deleted") != Some(&Value::Bool(true));
    node.get("replies").and_then(Value::as_array).into_iter().flatten().filter(is_kept)
}

/// The replies with a rank, the best first.
fn ranked(node: &Value) -> Vec<(f64, &Value)> {
    let rank = |reply| Some((number(Value::get(reply, "rank")?)?, reply));
    let mut ranked: Vec<_> = children(node).filter_map(rank).collect();
    ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    ranked
}

/// The best reply, or the first where none has a rank.
fn best(node: &Value) -> Option<&Value> {
    ranked(node).first().map(|(_, reply)| *reply).or_else(|| children(node).next())
}

fn turn(row: &Row, node: &Value) -> Result<Message> {
    let text = |key: &str| node.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let role = match text("role") {
        Some("prompter") => "user",
        Some("assistant") => "assistant",
        _ => return Err(row.wrong("prompt.role", "`prompter` or `assistant`", describe(node))),
    };
    match text("text") {
        Some(text) => Ok(Message::new(role, text)),
        None => Err(row.wrong("prompt.text", "a text", describe(node))),
    }
}

//! Reading a server's history to fill the hole of an outage, page by page and within bounds.

use std::sync::Arc;

use ::opcua::client::{HistoryReadAction, Session};
use ::opcua::types::{
    ByteString, DataValue, Error, HistoryData, HistoryReadValueId, NodeId, QualifiedName, ReadRawModifiedDetails,
    StatusCode, TimestampsToReturn,
};

use super::super::watch::Hole;
use crate::domain::time::Timestamp;

/// Points asked for in one request.
pub const MAX_POINTS: usize = 50;
/// Values of one point in one page.
const PAGE: u32 = 1000;
/// Values of one point in all: 4 hours at 200 ms. What is beyond stays a gap; the present comes first.
const MAX_VALUES: usize = 72_000;

/// A hole with the node to ask for.
#[derive(Clone, Debug)]
pub struct Question {
    /// The hole.
    pub hole: Hole,
    /// The node.
    pub node: NodeId,
}

/// What the server gave for a hole.
#[derive(Debug)]
pub struct Answer {
    /// The hole.
    pub hole: Hole,
    /// Values, oldest first.
    pub values: Vec<DataValue>,
    /// Where the answer ends early, as the server gives it; it often keeps no history of a variable.
    pub refused: Option<StatusCode>,
}

/// Reads what the server kept of some points up to `until`.
///
/// # Errors
///
/// As the server gives it, when it refuses as a whole.
pub async fn read(session: Arc<Session>, questions: Vec<Question>, until: Timestamp) -> Result<Vec<Answer>, Error> {
    let from = questions.iter().map(|q| q.hole.after).min().unwrap_or(until);
    let mut answers: Vec<Answer> =
        questions.iter().map(|q| Answer { hole: q.hole, values: Vec::new(), refused: None }).collect();
    let mut open: Vec<(usize, ByteString)> = (0..questions.len()).map(|index| (index, ByteString::null())).collect();
    while !open.is_empty() {
        let details = ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: time(from),
            end_time: time(until),
            num_values_per_node: PAGE,
            return_bounds: false,
        };
        let asked: Vec<HistoryReadValueId> = open
            .iter()
            .filter_map(|(index, point)| Some((questions.get(*index)?, point)))
            .map(|(question, point)| HistoryReadValueId {
                node_id: question.node.clone(),
                index_range: Default::default(),
                data_encoding: QualifiedName::null(),
                continuation_point: point.clone(),
            })
            .collect();
        let action = HistoryReadAction::ReadRawModifiedDetails(details);
        let results = session.history_read(action, TimestampsToReturn::Both, false, &asked).await?;
        let mut next = Vec::new();
        for ((index, _), result) in std::mem::take(&mut open).into_iter().zip(results) {
            let Some(answer) = answers.get_mut(index) else { continue };
            if result.status_code.is_bad() {
                answer.refused = Some(result.status_code);
                continue;
            }
            if let Some(data) = result.history_data.into_inner_as::<HistoryData>() {
                answer.values.extend(data.data_values.into_iter().flatten());
            }
            if !result.continuation_point.is_null_or_empty() && answer.values.len() < MAX_VALUES {
                next.push((index, result.continuation_point));
            }
        }
        open = next;
    }
    Ok(answers)
}

fn time(t: Timestamp) -> ::opcua::types::DateTime {
    let ticks = t.0.saturating_mul(10_000).saturating_add(116_444_736_000_000_000);
    ::opcua::types::DateTime::from(ticks)
}

//! What is asked of a server in a session: its namespaces, a subscription, items.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::opcua::client::Session;
use ::opcua::types::{
    AttributeId, Error, ExtensionObject, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId,
    ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};

use super::super::super::settings::opcua::Server;
use super::super::item::ItemRef;
use super::open::{Notice, SESSION_TIMEOUT, Tap};

/// Items of one request; servers take at least a thousand, small ones less, and then it is halved.
pub const MAX_PER_REQUEST: usize = 500;
/// Values of one notification; more come in the next one at once.
pub const MAX_PER_NOTIFICATION: u32 = 1000;

/// Namespace URIs with their index in this server.
pub type Namespaces = BTreeMap<String, u16>;

/// What a subscription became.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The server's number for it.
    pub id: u32,
    /// Its longest time without a sign of life.
    pub cycle: Duration,
    /// The server's namespaces.
    pub namespaces: Arc<Namespaces>,
}

/// An item to be watched.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Our number for it.
    pub handle: u32,
    /// The point.
    pub item: ItemRef,
    /// The node; `None` when the server does not have its namespace.
    pub node: Option<NodeId>,
    /// Sampling interval.
    pub sampling: Duration,
    /// Values kept until they are sent.
    pub queue_size: u32,
}

/// What became of an item.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// Watched, under this number and with this sampling interval.
    Watched(u32, Duration),
    /// Refused.
    Refused(StatusCode),
    /// The request as a whole failed: it says nothing about this item.
    Unasked,
}

/// Reads the server's namespaces and makes a subscription.
///
/// # Errors
///
/// As the server gives it.
pub async fn subscribe(session: Arc<Session>, server: Arc<Server>, tap: Tap) -> Result<Subscribed, Error> {
    let old = session.subscription_state().lock().subscription_ids().unwrap_or_default();
    if !old.is_empty() {
        // Of the session before, in the library's memory only.
        drop(session.delete_subscriptions(&old).await);
    }
    let namespaces = Arc::new(namespaces(&session).await?);
    let keep_alive = server.keep_alive_count();
    // Lives as long as the session may be without a connection: what is queued meanwhile is not lost.
    let publishing = server.publishing.as_millis().max(1);
    let lifetime = u32::try_from(SESSION_TIMEOUT.as_millis() / publishing).unwrap_or(u32::MAX).max(keep_alive * 3);
    let most = MAX_PER_NOTIFICATION;
    let id = session.create_subscription(server.publishing, lifetime, keep_alive, most, 0, true, tap).await?;
    let state = session.subscription_state().lock();
    let revised = state.get(id).map(|s| s.publishing_interval() * s.max_keep_alive_count());
    Ok(Subscribed { id, cycle: revised.unwrap_or(server.publishing * keep_alive), namespaces })
}

/// Reads the table of namespaces.
///
/// # Errors
///
/// As the server gives it.
pub async fn namespaces(session: &Session) -> Result<Namespaces, Error> {
    let array: NodeId = VariableId::Server_NamespaceArray.into();
    let values = session.read(&[ReadValueId::new_value(array)], TimestampsToReturn::Neither, 0.0).await?;
    let Some(Variant::Array(array)) = values.into_iter().next().and_then(|v| v.value) else {
        return Err(Error::new(StatusCode::BadUnexpectedError, "the server has no table of namespaces"));
    };
    let uris = (0_u16..).zip(&array.values);
    let uri = |(index, value): (u16, &Variant)| {
        if let Variant::String(uri) = value { Some((uri.as_ref().to_owned(), index)) } else { None }
    };
    Ok(uris.filter_map(uri).collect())
}

/// Asks for items. A request that fails as a whole is asked again in halves, so that neither a small server nor one bad
/// node takes the others along; a lost connection ends it.
pub async fn watch(session: Arc<Session>, subscription: u32, wishes: Vec<Wish>) -> Vec<(u32, ItemRef, Outcome)> {
    let mut done = Vec::with_capacity(wishes.len());
    let mut waiting = vec![wishes];
    while let Some(mut wishes) = waiting.pop() {
        wishes.retain(|wish| {
            if wish.node.is_none() {
                done.push((wish.handle, wish.item, Outcome::Refused(StatusCode::BadNodeIdUnknown)));
            }
            wish.node.is_some()
        });
        if wishes.is_empty() {
            continue;
        }
        let requests = wishes.iter().filter_map(request).collect();
        match session.create_monitored_items(subscription, TimestampsToReturn::Both, requests).await {
            Ok(results) if results.len() == wishes.len() => {
                let outcomes = wishes.iter().zip(&results).map(|(wish, created)| {
                    let result = &created.result;
                    let sampling = millis(result.revised_sampling_interval, wish.sampling);
                    let outcome = match result.status_code.is_bad() {
                        true => Outcome::Refused(result.status_code),
                        false => Outcome::Watched(result.monitored_item_id, sampling),
                    };
                    (wish.handle, wish.item, outcome)
                });
                done.extend(outcomes);
            }
            Err(error) if !of_this_request(error.status()) => {
                let rest = waiting.drain(..).flatten().chain(wishes);
                done.extend(rest.map(|wish| (wish.handle, wish.item, Outcome::Unasked)));
            }
            failed if wishes.len() == 1 => {
                let status = failed.map_or_else(|error| error.status(), |_| StatusCode::BadUnknownResponse);
                done.extend(wishes.iter().map(|wish| (wish.handle, wish.item, Outcome::Refused(status))));
            }
            _ => {
                let half = wishes.split_off(wishes.len() / 2);
                waiting.extend([wishes, half]);
            }
        }
    }
    done
}

/// Asks for notifications again that were on their way when a connection broke; those that the server has no more are left out.
pub async fn again(session: Arc<Session>, subscription: u32, numbers: Vec<u32>) -> Vec<Notice> {
    let mut notices = Vec::new();
    for number in numbers {
        match session.republish(subscription, number).await {
            // Some servers answer with an empty message where they should refuse.
            Ok(message) if message.sequence_number == number => notices.push(Notice::from(message)),
            Ok(_) => {}
            Err(error) if of_this_request(error.status()) => {}
            Err(_) => break,
        }
    }
    notices
}

/// Whether a failure speaks of what was asked, and not of the connection.
fn of_this_request(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::BadTimeout
            | StatusCode::BadConnectionClosed
            | StatusCode::BadSecureChannelClosed
            | StatusCode::BadNotConnected
            | StatusCode::BadSessionClosed
            | StatusCode::BadSessionIdInvalid
            | StatusCode::BadSubscriptionIdInvalid
            | StatusCode::BadServerHalted
            | StatusCode::BadShutdown
            | StatusCode::BadCommunicationError
    )
}

fn request(wish: &Wish) -> Option<MonitoredItemCreateRequest> {
    let node = wish.node.clone()?;
    Some(MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId::new(node, AttributeId::Value),
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: wish.handle,
            sampling_interval: wish.sampling.as_secs_f64() * 1000.0,
            // No filter: every change of value or status. A server's deadband would hide what alarms and rates need.
            filter: ExtensionObject::null(),
            queue_size: wish.queue_size,
            discard_oldest: true,
        },
    })
}

/// A revised interval; servers answer 0 for "as fast as it changes", or nonsense: then it is as asked.
fn millis(revised: f64, asked: Duration) -> Duration {
    let revised = Duration::try_from_secs_f64(revised / 1000.0).unwrap_or(asked);
    if revised > Duration::from_secs(3600) { asked } else { revised.max(asked) }
}

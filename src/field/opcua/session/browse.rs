//! Walking through a server's address space below a node, to make a point table of it.

use std::collections::{BTreeMap, BTreeSet};

use ::opcua::client::Session;
use ::opcua::types::{
    AttributeId, BrowseDescription, BrowseDescriptionResultMask, BrowseDirection, ByteString, DataTypeId, DataValue,
    EUInformation, Error, NodeClass, NodeClassMask, NodeId, ObjectId, Range, ReadValueId, ReferenceDescription,
    ReferenceTypeId, StatusCode, TimestampsToReturn, Variant,
};

use super::super::super::settings::opcua::NodeRef;
use super::super::table::Variable;
use super::ask;

/// Nodes asked about in one request; small servers take no more.
const PER_REQUEST: usize = 100;
/// References of one node in one answer; the rest comes by continuation points.
const PER_NODE: u32 = 1000;
/// Levels below the node asked for: deeper is a loop of objects, or a structure taken apart.
pub const MAX_DEPTH: usize = 16;
/// Nodes looked at: a DCS of a hundred thousand tags.
pub const MAX_NODES: usize = 100_000;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Variables, in the order of the walk.
    pub variables: Vec<Variable>,
    /// Whether there was more than [`MAX_NODES`] or [`MAX_DEPTH`] admit.
    pub cut: bool,
}

/// Lists the variables below `under` (the objects folder when `None`); `told` hears how many nodes were seen.
///
/// # Errors
///
/// As the server gives it; one node that it refuses to show is passed over.
pub async fn browse(session: &Session, under: Option<&NodeRef>, mut told: impl FnMut(usize)) -> Result<Found, Error> {
    let namespaces = ask::namespaces(session).await?;
    let uris: BTreeMap<u16, &str> = namespaces.iter().map(|(uri, index)| (*index, uri.as_str())).collect();
    let start = match under {
        None => ObjectId::ObjectsFolder.into(),
        Some(node) => node
            .resolve(|uri| namespaces.get(uri).copied())
            .ok_or_else(|| Error::new(StatusCode::BadNodeIdUnknown, "the server does not have this namespace"))?,
    };
    let mut found = Found::default();
    let mut seen: BTreeSet<String> = BTreeSet::from([start.to_string()]);
    let mut level = vec![start];
    let mut raw = Vec::new();
    for depth in 0.. {
        if level.is_empty() {
            break;
        }
        if depth == MAX_DEPTH || seen.len() > MAX_NODES {
            found.cut = true;
            break;
        }
        let mut below = Vec::new();
        for nodes in level.chunks(PER_REQUEST) {
            let hierarchy: NodeId = ReferenceTypeId::HierarchicalReferences.into();
            for (_, references) in references(session, nodes, &hierarchy).await? {
                for reference in references {
                    let id = reference.node_id.node_id.clone();
                    // Of this server, and not of the standard's own part of it.
                    let own = reference.node_id.server_index == 0 && id.namespace > 0;
                    if !own || !seen.insert(id.to_string()) {
                        continue;
                    }
                    if reference.node_class == NodeClass::Variable {
                        raw.push(reference);
                    } else {
                        below.push(id);
                    }
                }
            }
            told(seen.len());
        }
        level = below;
    }
    for chunk in raw.chunks(PER_REQUEST) {
        found.variables.extend(describe(session, chunk, &uris).await?);
    }
    Ok(found)
}

/// Returns the references forward from each node.
async fn references(
    session: &Session,
    nodes: &[NodeId],
    kind: &NodeId,
) -> Result<Vec<(NodeId, Vec<ReferenceDescription>)>, Error> {
    let describe = |node: &NodeId| BrowseDescription {
        node_id: node.clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: kind.clone(),
        include_subtypes: true,
        node_class_mask: (NodeClassMask::OBJECT | NodeClassMask::VARIABLE).bits(),
        result_mask: BrowseDescriptionResultMask::all().bits(),
    };
    let asked: Vec<_> = nodes.iter().map(describe).collect();
    let results = session.browse(&asked, PER_NODE, None).await?;
    let mut all = Vec::new();
    for (node, result) in nodes.iter().zip(results) {
        let mut references = result.references.unwrap_or_default();
        let mut point: ByteString = result.continuation_point;
        while !point.is_null_or_empty() && references.len() < MAX_NODES {
            let Some(next) = session.browse_next(false, &[point]).await?.into_iter().next() else { break };
            references.extend(next.references.unwrap_or_default());
            point = next.continuation_point;
        }
        all.push((node.clone(), references));
    }
    Ok(all)
}

async fn describe(
    session: &Session,
    variables: &[ReferenceDescription],
    uris: &BTreeMap<u16, &str>,
) -> Result<Vec<Variable>, Error> {
    let ids: Vec<NodeId> = variables.iter().map(|v| v.node_id.node_id.clone()).collect();
    let attributes = [AttributeId::DataType, AttributeId::ValueRank, AttributeId::UserAccessLevel];
    let asked: Vec<_> =
        ids.iter().flat_map(|id| attributes.map(|attribute| ReadValueId::new(id.clone(), attribute))).collect();
    let values = session.read(&asked, TimestampsToReturn::Neither, 0.0).await?;
    let properties = properties(session, &ids).await?;
    let described =
        variables.iter().zip(&ids).zip(values.chunks(attributes.len())).filter_map(|((found, id), values)| {
            let node = NodeRef::of(id, uris.get(&id.namespace).copied())?;
            let value = |index: usize| values.get(index).and_then(|v| v.value.as_ref());
            let none = (None, None);
            let (range, unit) = properties.get(&id.to_string()).unwrap_or(&none);
            Some(Variable {
                node,
                name: found.browse_name.name.as_ref().to_owned(),
                title: found.display_name.text.as_ref().to_owned(),
                kind: kind_of(value(0), value(1)),
                unit: unit.clone(),
                range: *range,
                readable: !matches!(value(2), Some(Variant::Byte(level)) if level & 1 == 0),
                writable: matches!(value(2), Some(Variant::Byte(level)) if level & 2 != 0),
            })
        });
    Ok(described.collect())
}

type Properties = BTreeMap<String, (Option<(f64, f64)>, Option<String>)>;

/// Reads EURange and EngineeringUnits of those variables that have them.
async fn properties(session: &Session, ids: &[NodeId]) -> Result<Properties, Error> {
    let has_property: NodeId = ReferenceTypeId::HasProperty.into();
    let mut wanted: Vec<(String, bool, NodeId)> = Vec::new();
    for (node, references) in references(session, ids, &has_property).await? {
        for reference in references {
            let name = reference.browse_name.name.as_ref();
            if name == "EURange" || name == "EngineeringUnits" {
                wanted.push((node.to_string(), name == "EURange", reference.node_id.node_id));
            }
        }
    }
    let mut properties = Properties::new();
    for chunk in wanted.chunks(PER_REQUEST) {
        let asked: Vec<_> = chunk.iter().map(|(.., id)| ReadValueId::new_value(id.clone())).collect();
        let values = session.read(&asked, TimestampsToReturn::Neither, 0.0).await?;
        for ((node, is_range, _), value) in chunk.iter().zip(values) {
            let entry = properties.entry(node.clone()).or_default();
            if *is_range {
                entry.0 =
                    structure::<Range>(value).map(|range| (range.low, range.high)).filter(|(low, high)| low < high);
            } else {
                entry.1 = structure::<EUInformation>(value).map(|unit| unit.display_name.text.as_ref().to_owned());
            }
        }
    }
    Ok(properties)
}

fn structure<T: Send + Sync + 'static>(value: DataValue) -> Option<T> {
    let Some(Variant::ExtensionObject(object)) = value.value else { return None };
    object.into_inner_as::<T>().map(|inner| *inner)
}

/// Names the type; arrays and what is no number in brackets, since no point can be made of them.
fn kind_of(data_type: Option<&Variant>, rank: Option<&Variant>) -> String {
    let scalar = matches!(rank, None | Some(Variant::Int32(-3..=-1)));
    let Some(Variant::NodeId(id)) = data_type else { return "(?)".to_owned() };
    let number = [
        DataTypeId::Boolean,
        DataTypeId::SByte,
        DataTypeId::Byte,
        DataTypeId::Int16,
        DataTypeId::UInt16,
        DataTypeId::Int32,
        DataTypeId::UInt32,
        DataTypeId::Int64,
        DataTypeId::UInt64,
        DataTypeId::Float,
        DataTypeId::Double,
        DataTypeId::Number,
        DataTypeId::Integer,
        DataTypeId::UInteger,
        DataTypeId::Enumeration,
    ];
    let named = [DataTypeId::String, DataTypeId::DateTime, DataTypeId::LocalizedText, DataTypeId::Structure];
    let known = number.iter().chain(&named).find(|kind| **id == **kind);
    let name = known.map_or_else(|| id.to_string(), |known| format!("{known:?}"));
    let is_number = known.is_some_and(|known| number.contains(known));
    match (scalar, is_number) {
        (true, true) => name,
        (true, false) => format!("({name})"),
        (false, _) => format!("({name}[])"),
    }
}

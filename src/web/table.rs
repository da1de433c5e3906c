//! The one list of what is served: method, path, the right needed, what answers. Nothing outside it answers, and the
//! right is checked at one place ([`admit`]), so that roles can come without touching a handler.

use super::request::decode;

/// Methods of a read-only page.
pub const READ: &[&str] = &["GET", "HEAD"];

/// What a caller may do. More rights come with sessions and roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing needed: style and script, no data.
    Open,
    /// See the state of the park.
    View,
    /// See pictures of those who pass: personal data.
    Picture,
    /// Ask whether the process lives and is ready.
    Health,
    /// Scrape counters.
    Metrics,
}

/// Who asks. One per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    rights: &'static [Right],
}

impl Caller {
    /// Returns the caller of this version: whoever reaches the listener may see everything, and change nothing.
    pub fn on_listener() -> Self {
        Self { rights: &[Right::Open, Right::View, Right::Picture, Right::Health, Right::Metrics] }
    }

    /// Returns a caller with these rights only.
    pub fn with(rights: &'static [Right]) -> Self {
        Self { rights }
    }
}

/// Returns whether `caller` may use `route`. The only check of rights.
pub fn admit(caller: &Caller, route: &Route) -> bool {
    route.right == Right::Open || caller.rights.contains(&route.right)
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The overview.
    Overview,
    /// One device with its points.
    Device,
    /// One point with its trend.
    Point,
    /// The trend alone, for the script to renew.
    Trend,
    /// The alarms.
    Alarms,
    /// The state of the site.
    Site,
    /// The gates, who is inside, dangerous goods.
    Gates,
    /// Everybody inside, by pages.
    Inside,
    /// The roll of a muster, for print.
    Muster,
    /// A picture of a passage.
    Picture,
    /// The daybook.
    Daybook,
    /// The uplink.
    Uplink,
    /// The store.
    Store,
    /// The event stream.
    Events,
    /// Whether the process lives.
    Healthz,
    /// Whether it does its work.
    Readyz,
    /// Counters.
    Metrics,
    /// The script.
    Script,
    /// The style.
    Style,
    /// The picture in the tab.
    Icon,
}

/// A path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Exactly this one.
    Is(&'static str),
    /// This prefix and one encoded name.
    Under(&'static str),
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Methods that it answers.
    pub methods: &'static [&'static str],
    /// Where.
    pub path: Path,
    /// Right needed.
    pub right: Right,
    /// What answers.
    pub endpoint: Endpoint,
}

const fn read(path: Path, right: Right, endpoint: Endpoint) -> Route {
    Route { methods: READ, path, right, endpoint }
}

/// Everything that is served.
pub const ROUTES: [Route; 20] = [
    read(Path::Is("/"), Right::View, Endpoint::Overview),
    read(Path::Under("/device/"), Right::View, Endpoint::Device),
    read(Path::Under("/point/"), Right::View, Endpoint::Point),
    read(Path::Under("/trend/"), Right::View, Endpoint::Trend),
    read(Path::Is("/alarms"), Right::View, Endpoint::Alarms),
    read(Path::Is("/site"), Right::View, Endpoint::Site),
    read(Path::Is("/gates"), Right::View, Endpoint::Gates),
    read(Path::Is("/inside"), Right::View, Endpoint::Inside),
    read(Path::Is("/muster"), Right::View, Endpoint::Muster),
    read(Path::Under("/picture/"), Right::Picture, Endpoint::Picture),
    read(Path::Is("/daybook"), Right::View, Endpoint::Daybook),
    read(Path::Is("/uplink"), Right::View, Endpoint::Uplink),
    read(Path::Is("/store"), Right::View, Endpoint::Store),
    read(Path::Is("/events"), Right::View, Endpoint::Events),
    read(Path::Is("/healthz"), Right::Health, Endpoint::Healthz),
    read(Path::Is("/readyz"), Right::Health, Endpoint::Readyz),
    read(Path::Is("/metrics"), Right::Metrics, Endpoint::Metrics),
    read(Path::Is("/app.js"), Right::Open, Endpoint::Script),
    read(Path::Is("/app.css"), Right::Open, Endpoint::Style),
    read(Path::Is("/favicon.svg"), Right::Open, Endpoint::Icon),
];

/// Returns the route of a path and the decoded name in it, empty where it has none.
pub fn find(path: &str) -> Option<(&'static Route, String)> {
    ROUTES.iter().find_map(|route| match route.path {
        Path::Is(whole) => (path == whole).then(|| (route, String::new())),
        Path::Under(prefix) => {
            let name = path.strip_prefix(prefix).filter(|name| !name.is_empty() && !name.contains('/'))?;
            Some((route, decode(name)?))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything_once_encoded() {
        let (route, name) = find("/point/TT%2F101%20%E7%94%B2").unwrap();
        assert_eq!((route.endpoint, name.as_str()), (Endpoint::Point, "TT/101 甲"));
    }

    #[test]
    fn paths_beside_the_table_are_not_found() {
        for path in
            ["", "*", "//", "/.", "/../etc/passwd", "/device/", "/device/a/b", "/point/%zz", "/app.js/", "/Uplink"]
        {
            assert!(find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn paths_and_endpoints_are_unique_and_read_only() {
        for (i, route) in ROUTES.iter().enumerate() {
            assert_eq!(route.methods, READ);
            for other in &ROUTES[i + 1..] {
                assert!(route.path != other.path && route.endpoint != other.endpoint, "{route:?} {other:?}");
            }
        }
    }

    #[test]
    fn only_the_right_named_in_the_table_opens_a_route() {
        let monitor = Caller::with(&[Right::Metrics, Right::Health]);
        let open: Vec<_> = ROUTES.iter().filter(|r| admit(&monitor, r)).map(|r| r.endpoint).collect();
        assert_eq!(
            open,
            [Endpoint::Healthz, Endpoint::Readyz, Endpoint::Metrics, Endpoint::Script, Endpoint::Style, Endpoint::Icon]
        );
        assert!(ROUTES.iter().all(|r| admit(&Caller::on_listener(), r)));
    }
}

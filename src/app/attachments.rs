//! The sender of pictures: from where they are kept (`lanes/pictures.rs`) to the platform (`uplink/attach/`).

use super::Gateway;
use crate::uplink::attach;

impl Gateway {
    /// Starts the sender of pictures, where the uplink has one; it ends with the uplink.
    pub(super) fn start_attachments(&mut self) {
        let Some(lanes) = &mut self.lanes else { return };
        let uplink = self.config.uplink.as_ref();
        let settings = uplink.and_then(|uplink| Some((uplink, uplink.attachments.clone()?)));
        let shelf = lanes.send(settings.as_ref().map(|(_, to)| to.pictures.clone()).unwrap_or_default());
        self.uplink.pictures.send_replace(settings.as_ref().map(|_| shelf.clone()));
        let Some((uplink, settings)) = settings else { return };
        let of = (uplink.park.clone(), uplink.gateway.clone());
        let (status, clock) = (self.uplink.status.clone(), self.clock.clone());
        self.supervisor.restartable("attachments", self.uplink.stop.clone(), move |stop| {
            let (settings, of, shelf) = (settings.clone(), of.clone(), shelf.clone());
            let inputs = attach::Inputs { settings, of, shelf, status: status.subscribe(), clock: clock.clone(), stop };
            async move {
                attach::session::run(inputs).await;
                Ok(())
            }
        });
    }
}

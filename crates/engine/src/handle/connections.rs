//! The outbound sessions, as the operator asks for them.

use remuda_dispatch::view;

use super::{Handle, shown};
use crate::operations::{Connection, ConnectionFilter, OperationError, RetiredParked};

impl Handle {
    pub(super) async fn read_connections(
        &self,
        filter: ConnectionFilter,
    ) -> Result<Vec<Connection>, OperationError> {
        let filter = self.read_filter(filter).await?;
        self.ask(move |actor, now| {
            let fits = |view: &view::ConnectionView| {
                filter
                    .destination
                    .as_ref()
                    .is_none_or(|wanted| *wanted == view.destination)
                    && filter.endpoint.is_none_or(|wanted| wanted == view.endpoint)
            };
            actor
                .dispatch()
                .connections(now)
                .filter(fits)
                .map(|view| shown::connection(actor.user(view.session), view))
                .collect()
        })
        .await
    }

    pub(super) async fn retire(&self, filter: ConnectionFilter) -> Result<RetiredParked, OperationError> {
        let filter = self.read_filter(filter).await?;
        self.ask(move |actor, now| {
            // Not what is parked less: some may have expired at the same time.
            let before = actor.dispatch().statistics().closed_drained;
            actor.retire_parked(filter.destination, filter.endpoint, now);
            RetiredParked {
                retired: actor.dispatch().statistics().closed_drained - before,
            }
        })
        .await
    }

    async fn read_filter(&self, filter: ConnectionFilter) -> Result<ConnectionFilter, OperationError> {
        Ok(ConnectionFilter {
            destination: self.named_if_any(filter.destination).await?,
            ..filter
        })
    }
}

use async_trait::async_trait;
use vodbridge_core::Connector;

/// A real broker that a test has for itself. It ends when it is dropped.
///
/// What goes wrong in here is the test's own failure: panic with a sentence.
#[async_trait]
pub trait Broker: Send {
    /// A connector to the broker as it runs now.
    async fn connector(&mut self) -> Box<dyn Connector>;

    /// Everything the broker holds, read by the means of a subscriber, however often it is there.
    async fn stored(&mut self) -> Vec<Stored>;

    /// Kills the broker's process (signal 9) and returns once it is gone.
    async fn kill(&mut self);

    /// Starts the broker again with the data it had.
    async fn restart(&mut self);

    /// How many bytes of data are more than the broker takes.
    fn oversize_bytes(&self) -> usize;

    /// The means to freeze it, if there are any.
    fn freezer(&mut self) -> Option<&mut dyn Freeze> {
        None
    }

    /// The means to have a connector whose topology is missing, if there are any.
    fn provider(&mut self) -> Option<&mut dyn Provide> {
        None
    }

    /// The means to have a connector with a wrong password, if there are any.
    fn guard(&mut self) -> Option<&mut dyn Guard> {
        None
    }
}

/// A broker that can be stopped in the middle of everything, with its connections open.
#[async_trait]
pub trait Freeze: Send {
    /// Stops the broker's process (SIGSTOP).
    async fn freeze(&mut self);

    /// Lets it go on (SIGCONT).
    async fn thaw(&mut self);
}

/// A broker whose topics, streams, exchanges and queues are made by an operator.
#[async_trait]
pub trait Provide: Send {
    /// A connector that makes no topology, and none is there.
    async fn verifying(&mut self) -> Box<dyn Connector>;

    /// Makes what the connector needs for [`topic`](crate::topic), by the broker's own means.
    async fn provide(&mut self);
}

/// A broker that wants to know who comes.
#[async_trait]
pub trait Guard: Send {
    /// A connector that logs in with a password that is wrong until it is
    /// [corrected](Self::correct), and is read again then.
    async fn stranger(&mut self) -> Box<dyn Connector>;

    /// Puts the right password where the connector looks for it.
    async fn correct(&mut self);
}

/// One event as it lies in the broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stored {
    /// The CloudEvents `id`.
    pub id: String,
    /// The topic, routing key or subject.
    pub topic: String,
}

/// What is confirmed, and that nothing else is.
mod confirming;

/// Replies, elements and handles that are not as they should be.
mod hostile;

/// Brokers that are away, and rooms that are full.
mod pausing;

/// What VOD's API answers instead of events.
mod refusals;

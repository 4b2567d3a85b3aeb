//! Every bound, named, with its unit.

/// Largest body of a provider's request, bytes; more is refused with 413.
pub const INBOUND_BODY_MAX: usize = 256 * 1024;
/// Notifications that are worked on at once; whoever comes beyond is told to come again at once, rather than after all
/// who wait before it.
pub const INBOUND_AT_ONCE_MAX: usize = 1_024;
/// Bytes of inbound bodies that are held at once, all connections together; who sends more is told to come again.
pub const INBOUND_BODIES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of each inbound body that do not count among [`INBOUND_BODIES_MAX`]: few notifications are larger, so that those
/// who hold large bodies back do not keep them out.
pub const INBOUND_BODY_UNCOUNTED: usize = 8 * 1024;
/// Connections to the router at once; further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Largest body of an API request, bytes.
pub const API_BODY_MAX: usize = 1024 * 1024;
/// Largest document of a merchant that the API imports, bytes: with room for as many endpoints as it may have.
pub const IMPORT_BODY_MAX: usize = 16 * 1024 * 1024;
/// Headers of an inbound request that are kept in the log.
pub const INBOUND_HEADERS_KEPT: usize = 64;
/// Longest header value that is kept in the log, bytes.
pub const INBOUND_HEADER_VALUE_MAX: usize = 2 * 1024;
/// Bytes of the body of a refused or unproven notification that are kept in the log.
pub const REFUSED_BODY_KEPT: usize = 8 * 1024;

/// Bytes that are read of a subscriber's answer.
pub const RESPONSE_READ_MAX: usize = 64 * 1024;
/// Bytes that are kept of a subscriber's answer.
pub const RESPONSE_KEPT_MAX: usize = 2 * 1024;
/// Bytes that are read of a provider's API reply.
pub const PROVIDER_REPLY_MAX: usize = 1024 * 1024;
/// Calls of one operation at a provider that changes something (session, invoice, …).
pub const OPERATION_STEPS_MAX: usize = 6;
/// Calls of one operation at a provider that only asks: it may look through a list page by page.
pub const QUESTION_STEPS_MAX: usize = 60;
/// Attempts of a delivery that are kept.
pub const ATTEMPTS_KEPT: usize = 100;

/// Endpoints of a merchant.
pub const ENDPOINTS_MAX: usize = 20_000;
/// Integrations of a merchant.
pub const INTEGRATIONS_MAX: usize = 1_000;
/// Live signing secrets of an endpoint: the current one and those of rotations.
pub const SIGNING_SECRETS_MAX: usize = 10;
/// Live inbound tokens of an integration.
pub const INBOUND_TOKENS_MAX: usize = 5;
/// Custom headers of an endpoint.
pub const CUSTOM_HEADERS_MAX: usize = 20;

/// Largest payment number: some providers take no longer order number.
pub const PAYMENT_NUMBER_MAX: u32 = 2_147_483_647;
/// Order lines of a payment.
pub const ORDER_LINES_MAX: usize = 100;
/// Times a write is decided again after a conflict.
pub const CONFLICT_RETRIES_MAX: usize = 16;

/// How long an operation that changes something may take, all its calls together, milliseconds. What was not answered by
/// then may have been done. Within this no other refund of the same payment begins.
pub const OPERATION_MS_MAX: u64 = 90_000;
const _: () = assert!(OPERATION_MS_MAX < OPERATION_HOLD_MS, "the store needs some of it too");
/// How long a capture, cancel or refund may take, milliseconds: then another refund of the same payment may begin, and
/// the provider is asked what became of one whose end nobody wrote down.
pub const OPERATION_HOLD_MS: u64 = 120_000;
/// When an open payment is asked about for the first time after it was created, milliseconds.
pub const POLL_FIRST_MS: u64 = 120_000;

// Package clients runs real Spanner clients against the embedded Spanner: the
// Go client with its admin clients, the Node client, and
// spanner-change-streams-tail.
//
// The Node client is installed from the npm registry into node/node_modules,
// and spanner-change-streams-tail is built from its module with its own
// dependencies, both once. Where npm or the network is missing the tests are
// skipped, and fail where CI is set.
package clients

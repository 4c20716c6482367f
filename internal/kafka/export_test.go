package kafka

import (
	"math"

	"knatter.dev/chat"
)

// Look has the client look again at what there is, as it does each minute.
func Look(l *Log) { l.client.ForceMetadataRefresh() }

// PartitionOf is where a stream's events are.
func PartitionOf(stream chat.StreamID, partitions int) int32 { return partitionOf(stream, partitions) }

// LeaveLag has the log not look again how far functions are behind.
func LeaveLag(l *Log) { l.lag.looked.Store(math.MaxInt64) }

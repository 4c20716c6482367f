package kafka

import "knatter.dev/chat"

// Look has the client look again at what there is, as it does each minute.
func Look(l *Log) { l.client.ForceMetadataRefresh() }

// PartitionOf is where a stream's events are.
func PartitionOf(stream chat.StreamID, partitions int) int32 { return partitionOf(stream, partitions) }

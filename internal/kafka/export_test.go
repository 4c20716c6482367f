package kafka

// Look has the client look again at what there is, as it does each minute.
func Look(l *Log) { l.client.ForceMetadataRefresh() }

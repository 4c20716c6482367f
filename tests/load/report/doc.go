// Package report keeps the result of a load run: as JSON, as one self-contained HTML page with charts, and as a comparison of two runs.
package report

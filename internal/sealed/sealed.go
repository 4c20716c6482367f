// Package sealed stores small documents with a checksum, so that a reader notices an
// incomplete one.
package sealed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal returns a document with its checksum in front. The document must not contain a
// newline.
func Seal(document []byte) []byte {
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(document, castagnoli), document)
}

// Open returns the sealed document at the beginning of data, and reports whether it is
// whole.
func Open(data []byte) (document []byte, whole bool) {
	line, _, ok := bytes.Cut(data, []byte("\n"))
	if !ok || len(line) < 9 {
		return nil, false
	}
	return line[9:], fmt.Sprintf("%08x ", crc32.Checksum(line[9:], castagnoli)) == string(line[:9])
}

// slotSize is larger than any document. A write of one page is rarely torn.
const slotSize = 4096

// File is a file for documents that are written often. It alternates between two slots,
// so that one of them is whole whenever writing stops.
type File struct {
	file  io.WriterAt
	count uint64
}

// NewFile returns a file to write to, after what Read has found in it.
func NewFile(f io.WriterAt, count uint64) *File { return &File{file: f, count: count} }

// Write writes a document as JSON. It does not sync.
func (f *File) Write(document any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	f.count++
	slot := Seal(append(strconv.AppendUint(nil, f.count, 10), append([]byte{' '}, data...)...))
	if len(slot) > slotSize {
		return fmt.Errorf("%d bytes do not fit into a slot of %d", len(slot), slotSize)
	}
	slot = append(slot, make([]byte, slotSize-len(slot))...) // full size from the beginning: a full disk could not grow it later
	_, err = f.file.WriteAt(slot, int64(f.count%2)*slotSize)
	return err
}

// Read reads the latest whole document, and the number of documents before it. It
// reports whether there is one.
func Read(f io.ReaderAt, document any) (count uint64, ok bool, err error) {
	for slot := range int64(2) {
		data := make([]byte, slotSize)
		n, err := f.ReadAt(data, slot*slotSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, false, err
		}
		line, whole := Open(data[:n])
		number, body, _ := bytes.Cut(line, []byte(" "))
		c, err := strconv.ParseUint(string(number), 10, 64)
		if !whole || err != nil || ok && c < count {
			continue
		}
		if json.Unmarshal(body, document) == nil {
			count, ok = c, true
		}
	}
	return count, ok, nil
}

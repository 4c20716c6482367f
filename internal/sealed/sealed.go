// Package sealed is for small documents that must be whole when they are read: each
// has its checksum with it.
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

// Seal is a document, which may have no line's end in it, with its checksum in front.
func Seal(document []byte) []byte {
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(document, castagnoli), document)
}

// Open is the document in what begins with a sealed one, and whether it is whole.
func Open(data []byte) (document []byte, whole bool) {
	line, _, ok := bytes.Cut(data, []byte("\n"))
	if !ok || len(line) < 9 {
		return nil, false
	}
	return line[9:], fmt.Sprintf("%08x ", crc32.Checksum(line[9:], castagnoli)) == string(line[:9])
}

// slotSize is more than a document takes; a write of a page is rarely torn.
const slotSize = 4096

// File is a file with the latest of documents that are written often, in two slots
// in turn: whenever the writing ends, one of them is whole.
type File struct {
	file  io.WriterAt
	count uint64
}

// NewFile is a file that is to be written, after what Read has found in it.
func NewFile(f io.WriterAt, count uint64) *File { return &File{file: f, count: count} }

// Write writes a document, as JSON. It does not sync.
func (f *File) Write(document any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	f.count++
	slot := Seal(append(strconv.AppendUint(nil, f.count, 10), append([]byte{' '}, data...)...))
	if len(slot) > slotSize {
		return fmt.Errorf("%d bytes are too much for a slot of %d", len(slot), slotSize)
	}
	slot = append(slot, make([]byte, slotSize-len(slot))...) // never larger later, as a full disk wouldn't have that
	_, err = f.file.WriteAt(slot, int64(f.count%2)*slotSize)
	return err
}

// Read reads the latest whole document, and how many there were before it. It
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

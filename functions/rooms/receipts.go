package rooms

import (
	"fmt"
	"net/http"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// receipts tells a member how far the others have read. In a large room that is hidden.
func (f *Function) receipts(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	now := f.look(r.Context())
	counts, err := now.rooms.Counts(r.Context(), []chat.RoomID{v.room.ID})
	if err != nil {
		return fmt.Errorf("counting members: %w", err)
	}
	var members []chat.Membership
	n := counts[v.room.ID]
	if n <= f.most {
		if members, err = now.rooms.Members(r.Context(), v.room.ID); err != nil {
			return fmt.Errorf("listing members: %w", err)
		}
	}
	receipts := view.ReceiptsOf(members, f.most)
	receipts.Hidden = receipts.Hidden || n > f.most
	now.mark(w)
	serve.JSON(w, http.StatusOK, receipts)
	return nil
}

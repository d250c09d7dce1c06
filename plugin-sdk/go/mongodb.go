package gtm

// Collection is a collection of the cluster that the host follows, named "database.collection". It works in a handler only.
type Collection string

// FindOptions are the options of Find.
type FindOptions struct {
	// Projection has the fields to return. Nil: all.
	Projection BSON
	// Sort is the order. Nil: any.
	Sort BSON
	Skip uint64
	// Limit is the maximum number of documents. 0: 10,000.
	Limit uint32
}

// UpdateOptions are the options of Update.
type UpdateOptions struct {
	// Many is whether to update all matching documents instead of the first one.
	Many bool
	// Upsert is whether to insert a document if none matches.
	Upsert bool
}

// UpdateResult is the result of Update and Replace.
type UpdateResult struct {
	MatchedCount, ModifiedCount uint64
	// UpsertedID is the _id of the inserted document. Nil: none was inserted.
	UpsertedID *Value
}

// Find returns the matching documents. More than 16 MiB of them are an error.
func (c Collection) Find(filter BSON, options FindOptions) ([]Document, error) {
	written, err := bytesOf(filter, options.Projection, options.Sort)
	if err != nil {
		return nil, err
	}
	return documents(hostFind(string(c), written[0], written[1], written[2], options.Skip, options.Limit))
}

// Aggregate runs a pipeline and returns its documents. It must not write.
func (c Collection) Aggregate(pipeline ...BSON) ([]Document, error) {
	stages, err := bytesOf(pipeline...)
	if err != nil {
		return nil, err
	}
	return documents(hostAggregate(string(c), stages))
}

// Insert inserts at most 1,000 documents, in order. The error IsConflict if a document with its key exists.
func (c Collection) Insert(all ...BSON) error {
	written, err := bytesOf(all...)
	if err != nil {
		return err
	}
	return hostInsert(string(c), written)
}

// Update updates the matching document, or all. The update is a document of operators: D{{"$set", D{…}}}.
func (c Collection) Update(filter, update BSON, options UpdateOptions) (UpdateResult, error) {
	written, err := bytesOf(filter, update)
	if err != nil {
		return UpdateResult{}, err
	}
	return updated(hostUpdate(string(c), written[0], written[1], options))
}

// Replace replaces the matching document. If none matches and upsert is true, it inserts the replacement.
func (c Collection) Replace(filter, replacement BSON, upsert bool) (UpdateResult, error) {
	written, err := bytesOf(filter, replacement)
	if err != nil {
		return UpdateResult{}, err
	}
	return updated(hostReplace(string(c), written[0], written[1], upsert))
}

// Delete deletes the matching document, or all if many is true. It returns the number of deleted documents.
func (c Collection) Delete(filter BSON, many bool) (deletedCount uint64, err error) {
	written, err := bytesOf(filter)
	if err != nil {
		return 0, err
	}
	return hostDeleteDocuments(string(c), written[0], many)
}

// bytesOf returns each document as BSON, and nil for one that is nil. An error is a rejection.
func bytesOf(all ...BSON) ([][]byte, error) {
	written := make([][]byte, len(all))
	for index, one := range all {
		if one == nil {
			continue
		}
		bytes, err := one.Bytes()
		if err != nil {
			return nil, Reject(err)
		}
		written[index] = bytes
	}
	return written, nil
}

func documents(all [][]byte, err error) ([]Document, error) {
	if err != nil {
		return nil, err
	}
	read := make([]Document, len(all))
	for index, bytes := range all {
		if read[index], err = Read(bytes); err != nil {
			return nil, err
		}
	}
	return read, nil
}

// hostUpdateResult has {_id} of the inserted document, or nil.
type hostUpdateResult struct {
	matched, modified uint64
	upserted          []byte
}

func updated(from hostUpdateResult, err error) (UpdateResult, error) {
	if err != nil {
		return UpdateResult{}, err
	}
	result := UpdateResult{MatchedCount: from.matched, ModifiedCount: from.modified}
	if from.upserted != nil {
		key, err := Read(from.upserted)
		if err != nil {
			return UpdateResult{}, err
		}
		if id, ok := key.Get("_id"); ok {
			result.UpsertedID = &id
		}
	}
	return result, nil
}

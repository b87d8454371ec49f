# Marks a retired user: a retired item is listed no more, but reads like any other.


def retired(db, cl, nodeid, newvalues):
    cl.set(nodeid, deleted=True)


def restored(db, cl, nodeid, oldvalues):
    cl.set(nodeid, deleted=False)


def init(db):
    db.user.audit('retire', retired)  # before: a retired item cannot be changed
    db.user.react('restore', restored)  # after, for the same reason

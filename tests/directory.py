"""Who is in the directory of the tests."""

BASE = "dc=clinic,dc=example"
READER = f"cn=reader,{BASE}"
READER_PASSWORD = "of the reader"
PEOPLE = {"ann": "of ann", "bob": "of bob", "o*(ne)": "of one"}
GROUPS = {"doctors": ("ann", "bob"), "nurses": ("bob",)}

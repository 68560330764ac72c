from api.balance import Balance


def test_worker_with_more_connections_is_above() -> None:
    """Only a worker that another one could relieve leaves connections to it."""
    balance = Balance()
    balance.report(1, 0)
    assert not balance.is_above(1)
    balance.report(2, 0)
    assert not balance.is_above(1)
    balance.report(1, 1)
    assert balance.is_above(1)
    assert not balance.is_above(2)


def test_dead_worker_is_nobody_to_wait_for() -> None:
    """A worker that has ended counts no more."""
    balance = Balance()
    balance.report(1, 5)
    balance.report(2, 0)
    balance.remove(2)
    assert not balance.is_above(1)


def test_all_connections_are_counted() -> None:
    """Those of every worker that lives; one without any counts as none."""
    balance = Balance()
    balance.report(1, 0)
    balance.report(2, 3)
    balance.report(3, 4)
    balance.remove(3)
    assert balance.count_all() == 3

from __future__ import annotations

from linreg_dist.documents import (
    DataDocument,
    PenaltyDocument,
    RowsDocument,
    SkippedFile,
    SolverDocument,
    Timing,
    Tune,
    TunePoint,
)
from linreg_dist.wording.done import left_out_lines, loss_lines, penalty_lines, steps_lines, time_lines


def test_squared_loss_needs_no_line_and_huber_has_the_scale_of_each_target() -> None:
    solver = SolverDocument(name="lbfgs", huber_scale=[14.4, 2.5])
    assert list(loss_lines("squared", solver, ["a", "b"])) == []
    assert list(loss_lines("huber", solver, ["a", "b"])) == [
        ("loss", "huber, scale of the residuals: a 14.4000, b 2.50000")
    ]
    one = SolverDocument(name="lbfgs", huber_scale=[14.4])
    assert list(loss_lines("huber", one, [])) == [("loss", "huber, scale of the residuals 14.4000")]
    assert list(loss_lines("huber", None, [])) == [("loss", "huber")]


def test_a_chosen_penalty_has_its_rule_and_its_error_and_the_least_one() -> None:
    points = [TunePoint(l1=0.0, l2=l2, mse=mse, std_err=1.25) for l2, mse in ((0.1, 312.5), (1.0, 313.0))]
    chosen = PenaltyDocument(l1=0.0, l2=1.0, rule="one standard error")
    tune = Tune(folds=5, points=points, best=0, one_std_err=1, chosen=chosen)
    assert list(penalty_lines(chosen, tune)) == [
        (
            "penalty",
            "l1 0, l2 1, chosen of 2 by 5-fold cross-validation: the largest within one standard error of "
            "the best; MSE 313.000 ± 1.250, the least is 312.500",
        )
    ]


def test_a_penalty_of_the_spec_is_named_and_none_is_not() -> None:
    assert list(penalty_lines(PenaltyDocument(l1=0.1, l2=0.0), None)) == [("penalty", "l1 0.1, l2 0")]
    assert list(penalty_lines(PenaltyDocument(), None)) == []
    assert list(penalty_lines(None, None)) == []


def test_the_steps_say_what_auto_stood_for() -> None:
    solver = SolverDocument(
        name="sgd", learning_rate=0.03125, global_batch_size=8192, steps_per_epoch=32, standardize=True
    )
    assert list(steps_lines(solver)) == [
        (
            "steps",
            "learning rate 0.0312500, 8,192 rows a step, 32 steps an epoch, features standardised",
        )
    ]
    assert list(steps_lines(SolverDocument(name="exact", standardize=False))) == []


def test_everything_that_was_left_out_is_named_with_its_reason() -> None:
    data = DataDocument(
        row_groups_skipped=3,
        skipped_columns={f"c{i}": "text" for i in range(8)},
        skipped_files=[SkippedFile(path="x.tmp", reason="its name ends in .tmp")],
    )
    rows = RowsDocument(train=1, validation=1, dropped={"missing": 9430, "filter": 0})
    assert dict(left_out_lines(rows, data)) == {
        "dropped": "9,430 rows (missing: 9,430)",
        "filter": "3 row groups ruled out by their statistics",
        "left out": "c0 (text); c1 (text); c2 (text); c3 (text); c4 (text); c5 (text); and 2 more columns",
        "not read": "x.tmp (its name ends in .tmp)",
    }
    assert list(left_out_lines(RowsDocument(train=1, validation=0), DataDocument())) == []


def test_the_time_line_has_all_seconds() -> None:
    timing = Timing(
        startup_s=1.2, train_s=0.5, read_s=0.3, fit_s=0.1, teardown_s=0.0, report_s=0.8, total_s=2.6
    )
    assert list(time_lines(timing)) == [
        (
            "time",
            "start-up 1.2 s, training 0.5 s (reading 0.3 s, solving 0.1 s), teardown 0.0 s, report 0.8 s, "
            "2.6 s in all",
        )
    ]
    assert list(time_lines(None)) == []

use super::*;

fn roster(users: u64) -> Roster {
    let roster = Roster::new(Some(Turns::new(users, 1, u64::MAX)));
    for number in 0..users {
        roster.add(&Rc::new(Slot::new(number)));
    }
    roster
}

#[test]
fn arrivals_go_to_users_in_turn_whoever_came_back_last() {
    let roster = roster(4);
    let mut order = Vec::new();
    let mut busy = Vec::new();
    for seq in 0..12 {
        let slot = roster.take(seq).unwrap();
        order.push(slot.number);
        busy.push(slot);
        // They come back in the other order: the last two first.
        if busy.len() == 2 {
            while let Some(slot) = busy.pop() {
                roster.came_back(&slot);
            }
        }
    }
    assert_eq!(order, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn the_user_who_has_rested_longest_stands_in_for_one_that_is_busy() {
    let roster = roster(3);
    let zero = roster.take(0).unwrap();
    let one = roster.take(1).unwrap();
    roster.came_back(&zero);
    // Number 2 has rested since the beginning; it is number 1's turn, who is busy.
    assert_eq!(roster.take(4).unwrap().number, 2);
    assert_eq!(roster.take(4).unwrap().number, 0);
    assert!(roster.take(4).is_none(), "nobody is at rest");
    roster.came_back(&one);
    assert_eq!(roster.take(5).unwrap().number, 1);
}

#[test]
fn what_is_remembered_of_rests_is_bounded() {
    let roster = roster(10);
    for seq in 0..10_000 {
        // The third is never at its turn, because somebody else was asked.
        let slot = roster.take(seq).unwrap();
        roster.came_back(&slot);
        assert!(roster.resting.borrow().len() <= 21, "{}", roster.resting.borrow().len());
    }
}

#[test]
fn without_a_number_of_users_the_warmest_session_is_taken() {
    let roster = Roster::new(None);
    for number in 0..3 {
        roster.rest(&Rc::new(Slot::new(number)));
    }
    assert_eq!(roster.take(0).unwrap().number, 2);
    assert_eq!(roster.take(1).unwrap().number, 1);
}
